"""Sessions of a Harbor: cookies, CSRF tokens, logins with a password, and what a dead session sees.

Not here but in tests/sandbox, because no Harbor that others use can be asked for it: a session that
ends by its time, one that outlives Harbor, and the moment for which a wrong password locks a name.
"""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conformance.conftest import Harbor, unique
from tests.conformance.harbor import (
    MARKS,
    NO_TOKEN,
    TOKEN,
    HarborCaller,
    Session,
    changed,
    cookies,
    done,
    made,
    referer,
)
from tests.sandbox.calls import API, VERIFY, refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: sessions, dead ones too"),
]
ANONYMOUS = {
    "auth_mode",
    "banner_message",
    "oidc_provider_name",
    "primary_auth_mode",
    "self_registration",
}
PULL = [{"resource": "repository", "action": "pull"}]


def attributes(response: httpx.Response, name: str) -> set[str]:
    """Those of the one cookie of that name which an answer sets, but for what TLS adds."""
    lines = response.headers.get_list("set-cookie")
    [line] = [each for each in lines if each.startswith(f"{name}=")]
    return set(line.split("; ")[1:]) - {"Secure"}


@pytest.fixture
def session(harbor: Harbor) -> Session:
    """A session of the administrator."""
    return Session(harbor.url, harbor.username, harbor.password)


@pytest.fixture
def dead(session: Session) -> Session:
    """A session that the server forgot; its cookies and its token are still sent."""
    session("GET", "/c/log_out")
    return session


@pytest.fixture
def public(caller: HarborCaller, project: str) -> str:
    """The name of a new public project; it begins with the name of the private one."""
    name = f"{project}-public"
    caller.made("/projects", {"project_name": name, "metadata": {"public": "true"}})
    return name


@pytest.fixture
def robot(caller: HarborCaller, project: str) -> httpx.BasicAuth:
    """The credentials of a new robot that may pull."""
    permission = {"kind": "project", "namespace": project, "access": PULL}
    body = {"name": "ci", "level": "project", "duration": 1, "permissions": [permission]}
    robot = caller("POST", "/robots", json=body).json()
    return httpx.BasicAuth(robot["name"], robot["secret"])


# Cookies and tokens


def test_every_answer_without_a_cookie_opens_a_session(
    caller: HarborCaller, nobody: HarborCaller
) -> None:
    answers = [ask("GET", "/systeminfo") for ask in (caller, caller, nobody)]
    assert len({cookies(answer)["sid"] for answer in answers}) == 3
    for answer in answers:
        assert set(cookies(answer)) == {"sid"}
        assert attributes(answer, "sid") == {"Path=/", "HttpOnly"}
        assert TOKEN not in answer.headers
        opened = {"cookie": f"sid={cookies(answer)['sid']}"}
        assert "sid" not in cookies(nobody("GET", "/systeminfo", headers=opened))


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_any_sid_cookie_makes_writes_need_a_token(caller: HarborCaller) -> None:
    bogus = {"cookie": "sid=bogus"}
    body = {"project_name": unique("conformance")}
    answer = caller("POST", "/projects", json=body, headers=bogus)
    assert refused(answer, 403, NO_TOKEN)
    assert answer.headers[TOKEN]
    assert "sid" not in cookies(answer)
    read = caller("GET", "/projects", headers=bogus)
    assert read.status_code == 200
    assert set(cookies(read)) == {"sid", "_gorilla_csrf"}
    assert made(caller("POST", "/projects", json=body, headers={"cookie": "a=b"}))


def test_the_tokens_cookie_lasts_half_a_day(caller: HarborCaller) -> None:
    answer = caller("GET", "/systeminfo", headers={"cookie": "sid=bogus"})
    expected = {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"}
    found = attributes(answer, "_gorilla_csrf")
    assert {each for each in found if not each.startswith("Expires=")} == expected
    assert len(found) == len(expected) + 1


def test_a_cookie_jar_fails_at_its_second_write(caller: HarborCaller, harbor: Harbor) -> None:
    login = (harbor.username, harbor.password)
    bodies = [{"project_name": unique("conformance")} for _ in range(2)]
    try:
        url, headers = harbor.url + API, referer(harbor.url)
        with httpx.Client(base_url=url, auth=login, verify=VERIFY, headers=headers) as jar:
            assert made(jar.post("/projects", json=bodies[0]))
            answer = jar.post("/projects", json=bodies[1])
            assert refused(answer, 403, NO_TOKEN)
            token = {TOKEN: answer.headers[TOKEN]}
            assert made(jar.post("/projects", json=bodies[1], headers=token))
    finally:
        for body in bodies:
            caller("DELETE", f"/projects/{body['project_name']}")


# Logging in and out


def test_a_login_needs_a_token(nobody: HarborCaller) -> None:
    answer = nobody("POST", "/c/login", data={"principal": "nobody", "password": "nothing"})
    assert refused(answer, 403, NO_TOKEN)
    assert answer.headers[TOKEN]
    assert "_gorilla_csrf" in cookies(answer)


def test_a_login_gives_a_session_of_its_own(harbor: Harbor) -> None:
    session = Session(harbor.url, harbor.username, harbor.password)
    before, answer = session.sid, session.log_in()
    assert (answer.status_code, answer.content) == (200, b"")
    assert attributes(answer, "sid") == {"Path=/", "HttpOnly"}
    assert cookies(answer)["sid"] != before


def test_a_session_serves_without_setting_cookies(session: Session, project: str) -> None:
    assert (session.login.status_code, session.login.content) == (200, b"")
    current = session("GET", "/users/current")
    assert current.json()["sysadmin_flag"] is True
    shown = session("GET", f"/projects/{project}")
    assert shown.json()["current_user_role_ids"] == [1]
    for answer in (current, shown, session("PUT", f"/projects/{project}", json={})):
        assert answer.status_code == 200
        assert not cookies(answer)
    withheld = session("PUT", f"/projects/{project}", json={}, headers={TOKEN: ""})
    assert refused(withheld, 403, NO_TOKEN)


@pytest.mark.unordered
def test_each_answer_has_another_token_and_all_stay_good(session: Session, project: str) -> None:
    tokens = [session("GET", "/users/current").headers[TOKEN] for _ in range(2)]
    tokens.append(session.token)
    assert len(set(tokens)) == 3

    def write(token: str) -> int:
        return session("PUT", f"/projects/{project}", json={}, headers={TOKEN: token}).status_code

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(write, tokens * 3)) == [200] * 9


def test_what_is_missing_is_404_in_a_live_session(session: Session) -> None:
    for path in (f"/projects/{unique('missing')}", "/robots/2147483000", "/quotas/2147483000"):
        assert session("GET", path).status_code == 404
    assert session("HEAD", f"/projects?project_name={unique('missing')}").status_code == 404
    assert session("HEAD", "/users/current").status_code == 405


@pytest.mark.unordered
def test_parallel_logins_all_count(session: Session, harbor: Harbor) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: session.log_in(), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    found = {cookies(answer)["sid"] for answer in answers}
    assert len(found) == 8
    for session.sid in found:
        assert session("GET", "/users/current").json()["sysadmin_flag"] is True


def test_logging_out_ends_one_session(session: Session, harbor: Harbor) -> None:
    other = Session(harbor.url, harbor.username, harbor.password)
    answer = session("GET", "/c/log_out")
    assert answer.status_code == 200
    assert cookies(answer)["sid"] == ""
    assert "Max-Age=0" in attributes(answer, "sid")
    assert refused(session("GET", "/users/current"), 401, "unauthorized")
    assert other("GET", "/users/current").status_code == 200


# A dead session


@pytest.mark.parametrize(
    "path",
    [
        "/users/current",
        "/robots",
        "/robots?q=Level=project,ProjectID=1",
        "/quotas",
        "/usergroups",
        "/configurations",
        "/projects/{private}",
        "/projects/{private}-missing",
        "/projects/{private}/members",
        "/projects/{private}-public/members",
        "/projects/{private}/summary",
    ],
)
def test_a_dead_session_is_401_and_given_another(
    dead: Session, project: str, public: str, path: str
) -> None:
    answer = dead("GET", path.format(private=project))
    assert refused(answer, 401, "unauthorized")
    assert "sid" in cookies(answer)  # this is what tells


def test_a_dead_session_sees_the_public_projects_only(
    dead: Session, project: str, public: str
) -> None:
    listed = dead("GET", f"/projects?name={project}")
    assert listed.status_code == 200
    [shown] = listed.json()
    assert shown["name"] == public
    assert shown["current_user_role_ids"] is None
    assert "current_user_role_id" not in shown
    assert listed.headers["x-total-count"] == "1"
    assert "sid" in cookies(listed)
    assert dead("GET", f"/projects/{public}").status_code == 200
    assert dead("GET", f"/projects/{public}/summary").json() == {"repo_count": 0}
    assert set(dead("GET", "/systeminfo").json()) == ANONYMOUS
    for name in (project, public):
        assert dead("HEAD", f"/projects?project_name={name}").status_code == 401


def test_a_dead_session_writes_nothing(
    dead: Session, caller: HarborCaller, project: str, robot: httpx.BasicAuth
) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    [found] = caller.json(f"/robots?q=Level=project,ProjectID={number}")
    refusals = [
        dead("POST", "/projects", json={"project_name": f"{project}-new"}),
        dead("PUT", f"/projects/{project}", json={"metadata": {"public": "true"}}),
        dead("PATCH", f"/robots/{found['id']}", json={}),
        dead("DELETE", f"/robots/{found['id']}"),
    ]
    for answer in refusals:
        assert refused(answer, 401, "unauthorized")
        assert "sid" in cookies(answer)
    assert caller("GET", f"/projects/{project}-new").status_code == 404
    assert caller.json(f"/projects/{project}")["metadata"]["public"] == "false"
    assert caller("GET", "/users/current", auth=robot).status_code == 412


def test_a_missing_token_says_nothing_of_the_session(dead: Session, project: str) -> None:
    answer = dead("DELETE", f"/projects/{project}", headers={TOKEN: ""})
    assert refused(answer, 403, NO_TOKEN)
    assert "sid" not in cookies(answer)


def test_a_jar_sees_the_death_once(dead: Session, public: str) -> None:
    dead.sid = cookies(dead("GET", "/projects"))["sid"]
    again = dead("GET", "/projects")
    assert again.status_code == 200
    assert "sid" not in cookies(again)


def test_logging_in_again_with_a_dead_session(dead: Session, project: str) -> None:
    answer = dead.log_in()
    assert answer.status_code == 200
    lines = answer.headers.get_list("set-cookie")
    assert len([line for line in lines if line.startswith("sid=")]) == 2
    dead.sid = cookies(answer)["sid"]  # the last of the two
    assert dead("PUT", f"/projects/{project}", json={}).status_code == 200


# A session beside an Authorization header


def test_basic_auth_beats_the_session(
    session: Session, robot: httpx.BasicAuth, project: str
) -> None:
    assert session("GET", "/users/current", auth=robot).status_code == 412
    path = f"/projects/{project}"
    assert refused(session("PUT", path, json={}, auth=robot), 403, "forbidden")
    withheld = session("PUT", path, json={}, auth=robot, headers={TOKEN: ""})
    assert refused(withheld, 403, NO_TOKEN)


def test_basic_auth_serves_beside_a_dead_session(
    dead: Session, harbor: Harbor, project: str
) -> None:
    login = (harbor.username, harbor.password)
    assert dead("GET", "/users/current", auth=login).json()["sysadmin_flag"] is True
    assert dead("PUT", f"/projects/{project}", json={}, auth=login).status_code == 200


def test_a_session_hides_refused_credentials(session: Session) -> None:
    for name in ("robot$nosuch", unique("nobody")):
        current = session("GET", "/users/current", auth=(name, "Wrong1234"))
        assert current.json()["sysadmin_flag"] is True


# Passwords of Harbor's own users


@pytest.fixture
def local(
    request: pytest.FixtureRequest, harbor: Harbor, caller: HarborCaller
) -> Iterator[HarborCaller]:
    """A caller of a Harbor that keeps passwords itself: the one given, if it does."""
    mode = "db_auth"
    if caller.json("/systeminfo")["auth_mode"] == mode:
        yield caller
        return
    address = request.getfixturevalue("simulated").addresses()["harbor"]
    if address["url"] != harbor.url:
        warnings.warn(f"{harbor.url} is not in {mode}: this case runs on the sandbox", stacklevel=1)
        caller = HarborCaller(address["url"], address["username"], address["password"])
    with changed(caller, auth_mode=mode) as answer:
        assert done(answer)
        yield caller


def test_a_refused_login_is_a_401_without_a_body(local: HarborCaller) -> None:
    """By a name that nobody has: a wrong password of the administrator's would lock it."""
    fresh = local("GET", "/systeminfo", headers={"cookie": "sid=unknown"})
    sent = {
        TOKEN: fresh.headers[TOKEN],
        "cookie": f"_gorilla_csrf={cookies(fresh)['_gorilla_csrf']}",
    }
    form = {"principal": unique("nobody"), "password": "Wrong1234"}
    nobody = HarborCaller(local.url)
    bodies: list[dict[str, Any]] = [{"data": form}, {"data": form}, {"data": {}}, {"json": form}]
    for body in bodies:
        answer = nobody("POST", "/c/login", headers=sent, **body)
        assert (answer.status_code, answer.content) == (401, b"")


def test_a_refused_robot_is_nobody_where_passwords_are_kept(local: HarborCaller) -> None:
    robot = local.login(f"robot${unique('nobody')}", "Wrong1234")
    assert robot("GET", "/users/current").status_code == 401
    assert robot("GET", "/projects").status_code == 200
