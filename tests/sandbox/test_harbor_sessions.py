"""Cookies, CSRF, login, dead sessions and the lock after a wrong password."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.sandbox.calls import API, CLIENT, refused

NO_TOKEN = "CSRF token not found in request"
ANONYMOUS = {
    "auth_mode",
    "banner_message",
    "oidc_provider_name",
    "primary_auth_mode",
    "self_registration",
}
TOKEN = "x-harbor-csrf-token"


class Session:
    """A logged-in session whose cookies are kept by hand."""

    def __init__(self, url: str) -> None:
        self.url = url
        sid = _cookies(CLIENT.get(f"{url}{API}/systeminfo"))["sid"]
        answer = CLIENT.get(f"{url}{API}/systeminfo", headers={"cookie": f"sid={sid}"})
        self.token = answer.headers[TOKEN]
        self.csrf = _cookies(answer)["_gorilla_csrf"]
        self.sid = sid
        self.answer = self.login()
        self.sid = _cookies(self.answer)["sid"]

    def login(self) -> httpx.Response:
        form = {"principal": "admin", "password": "Harbor12345"}
        return self("POST", "/c/login", data=form)

    def __call__(self, method: str, path: str, headers: dict | None = None, **kwargs):
        path = self.url + (path if path.startswith("/c/") else API + path)
        cookies = f"sid={self.sid}; _gorilla_csrf={self.csrf}"
        return CLIENT.request(
            method,
            path,
            headers={"cookie": cookies, TOKEN: self.token, **(headers or {})},
            **kwargs,
        )


def _cookies(response: httpx.Response) -> dict[str, str]:
    found = [line.partition(";")[0] for line in response.headers.get_list("set-cookie")]
    return dict(line.partition("=")[::2] for line in found)


@pytest.fixture
def session(url: str) -> Session:
    return Session(url)


def test_every_call_without_a_cookie_gets_a_session(admin, harbor) -> None:
    before = len(harbor.state.sessions)
    answer = admin("GET", "/ping")
    [cookie] = answer.headers.get_list("set-cookie")
    assert cookie.startswith("sid=")
    assert cookie.endswith("; Path=/; HttpOnly")
    assert TOKEN not in answer.headers
    assert len(harbor.state.sessions) == before + 1


def test_any_sid_cookie_makes_writes_need_a_token(admin) -> None:
    bogus = {"cookie": "sid=bogus"}
    body = {"project_name": "x"}
    answer = admin("POST", "/projects", json=body, headers=bogus)
    assert refused(answer, 403, NO_TOKEN)
    assert "sid" not in _cookies(answer)
    assert answer.headers[TOKEN]
    read = admin("GET", "/projects", headers=bogus)
    assert read.status_code == 200
    assert set(_cookies(read)) == {"sid", "_gorilla_csrf"}
    assert admin("POST", "/projects", json=body, headers={"cookie": "a=b"}).status_code == 201


def test_the_tokens_cookie(admin) -> None:
    answer = admin("GET", "/projects", headers={"cookie": "sid=bogus"})
    [cookie] = [c for c in answer.headers.get_list("set-cookie") if c.startswith("_gorilla")]
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")


def test_a_cookie_jar_fails_at_its_second_write(url) -> None:
    with httpx.Client(base_url=url, auth=("admin", "Harbor12345")) as jar:
        assert jar.post(f"{API}/projects", json={"project_name": "a"}).status_code == 201
        answer = jar.post(f"{API}/projects", json={"project_name": "b"})
        assert refused(answer, 403, NO_TOKEN)
        token = {TOKEN: answer.headers[TOKEN]}
        answer = jar.post(f"{API}/projects", json={"project_name": "b"}, headers=token)
        assert answer.status_code == 201


def test_login(session: Session) -> None:
    assert (session.answer.status_code, session.answer.content) == (200, b"")
    [cookie] = session.answer.headers.get_list("set-cookie")
    assert cookie == f"sid={session.sid}; Path=/; HttpOnly"
    current = session("GET", "/users/current")
    assert current.json()["sysadmin_flag"] is True
    assert "set-cookie" not in current.headers
    assert current.headers[TOKEN] != session.token
    for name in ("a", "b"):  # one token serves all writes
        answer = session("POST", "/projects", json={"project_name": name})
        assert answer.status_code == 201
        assert "set-cookie" not in answer.headers


def test_login_needs_a_token(nobody) -> None:
    form = {"principal": "admin", "password": "Harbor12345"}
    answer = nobody("POST", "/c/login", data=form)
    assert refused(answer, 403, NO_TOKEN)
    assert answer.headers[TOKEN]
    assert "_gorilla_csrf" in _cookies(answer)


def test_a_wrong_token_is_refused(session: Session) -> None:
    other = Session(session.url).token
    answer = session("POST", "/projects", json={"project_name": "x"}, headers={TOKEN: other})
    assert refused(answer, 403, "CSRF token invalid")


def test_an_idp_user_cannot_use_the_form(session: Session, harbor) -> None:
    answer = session("POST", "/c/login", data={"principal": "alice", "password": "x"})
    assert answer.status_code == 403
    assert answer.json() == {"redirect_location": f"{harbor.ext_endpoint}/c/oidc/login"}


@pytest.mark.parametrize(
    "path",
    [
        "/users/current",
        "/robots",
        "/robots?q=Level=project,ProjectID=2",
        "/quotas",
        "/usergroups",
        "/configurations",
        "/projects/team-demo",
        "/projects/missing",
        "/projects/library/members",
        "/projects/team-demo/summary",
    ],
)
def test_a_dead_session_is_401(session: Session, demo, harbor, path) -> None:
    harbor.state.sessions.clear()
    answer = session("GET", path)
    assert refused(answer, 401, "unauthorized")
    assert "sid" in _cookies(answer)  # this is what tells


def test_a_dead_session_sees_only_what_is_public(session: Session, demo, harbor) -> None:
    harbor.state.sessions.clear()
    listed = session("GET", "/projects")
    assert [p["name"] for p in listed.json()] == ["library"]
    assert listed.json()[0]["current_user_role_ids"] is None
    assert "current_user_role_id" not in listed.json()[0]
    assert listed.headers["x-total-count"] == "1"
    assert "sid" in _cookies(listed)
    assert session("GET", "/projects/library").status_code == 200
    assert session("GET", "/projects/library/summary").json() == {"repo_count": 0}
    assert set(session("GET", "/systeminfo").json()) == ANONYMOUS
    for name in ("library", "team-demo"):
        assert session("HEAD", f"/projects?project_name={name}").status_code == 401


def test_a_dead_session_writes_nothing(session: Session, demo, harbor) -> None:
    harbor.state.sessions.clear()
    for method, path in (
        ("POST", "/projects"),
        ("PUT", "/projects/library"),
        ("PATCH", "/robots/1"),
        ("DELETE", "/robots/1"),
    ):
        answer = session(method, path, json={"project_name": "x"})
        assert refused(answer, 401, "unauthorized")
        assert "sid" in _cookies(answer)
    answer = session("DELETE", "/robots/1", headers={TOKEN: ""})
    assert refused(answer, 403, NO_TOKEN)
    assert "set-cookie" not in answer.headers


def test_a_jar_sees_the_death_once(session: Session, harbor) -> None:
    harbor.state.sessions.clear()
    session.sid = _cookies(session("GET", "/projects"))["sid"]
    again = session("GET", "/projects")
    assert again.status_code == 200
    assert "set-cookie" not in again.headers


def test_logging_in_again_with_a_dead_session(session: Session, harbor) -> None:
    harbor.state.sessions.clear()
    answer = session.login()
    sids = [c for c in answer.headers.get_list("set-cookie") if c.startswith("sid=")]
    assert len(sids) == 2
    session.sid = sids[1].partition(";")[0].removeprefix("sid=")
    assert session("POST", "/projects", json={"project_name": "x"}).status_code == 201


def test_logging_out_ends_one_session(session: Session) -> None:
    other = Session(session.url)
    answer = session("GET", "/c/log_out")
    assert answer.status_code == 200
    assert "sid=; Path=/; Max-Age=0" in answer.headers["set-cookie"]
    assert session("GET", "/users/current").status_code == 401
    assert other("GET", "/users/current").status_code == 200


def test_sessions_slide(session: Session, sandbox) -> None:
    for _ in range(3):
        sandbox.clock.move(50 * 60)
        assert session("GET", "/users/current").status_code == 200
    sandbox.clock.move(40 * 60)
    still = {"X-Harbor-No-Session-Renewal": "1"}
    assert session("GET", "/users/current", headers=still).status_code == 200
    sandbox.clock.move(21 * 60)
    assert session("GET", "/users/current").status_code == 401


def test_parallel_logins_all_count(session: Session) -> None:
    sessions = [session, *(Session(session.url) for _ in range(3))]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(Session.login, sessions))
    sids = {_cookies(answer)["sid"] for answer in answers}
    assert len(sids) == 4


def test_basic_auth_beats_the_session(session: Session, admin, demo) -> None:
    access = [{"resource": "repository", "action": "pull"}]
    permission = {"kind": "project", "namespace": "team-demo", "access": access}
    body = {"name": "ci", "level": "project", "duration": -1, "permissions": [permission]}
    robot = admin("POST", "/robots", json=body).json()
    login = httpx.BasicAuth(robot["name"], robot["secret"])
    assert session("GET", "/users/current", auth=login).status_code == 412
    # Refused credentials are hidden by a live session.
    assert session("GET", "/users/current", auth=("robot$x", "wrong")).status_code == 200
    assert session("GET", "/users/current", auth=("admin", "wrong")).status_code == 200


# --- The lock ------------------------------------------------------------------------------------


def test_a_wrong_password_takes_time_and_locks_the_name(session: Session, admin, harbor) -> None:
    harbor.login_delay = 0.5
    wrong = admin.login("admin", "wrong")
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        slow = pool.submit(wrong, "GET", "/users/current")
        time.sleep(0.15)
        locked = time.monotonic()
        assert admin("GET", "/users/current").status_code == 401
        assert session.login().status_code == 401
        assert time.monotonic() - locked < 0.2
        assert session("GET", "/users/current").status_code == 200  # sessions don't mind
        assert slow.result().status_code == 401
    assert time.monotonic() - started >= 0.5
    assert admin("GET", "/users/current").status_code == 200


def test_a_wrong_login_is_a_401_without_a_body(session: Session) -> None:
    for form in ({"principal": "admin", "password": "wrong"}, {}):
        answer = session("POST", "/c/login", data=form)
        assert (answer.status_code, answer.content) == (401, b"")


def test_a_wrong_password_is_no_error_where_anyone_may_look(admin) -> None:
    wrong = admin.login("admin", "wrong")
    assert wrong("GET", "/projects").status_code == 200
    assert set(wrong.json("/systeminfo")) == ANONYMOUS


def test_refused_robots_are_slow_only_with_local_users(admin, harbor) -> None:
    harbor.login_delay = 0.3
    robot = admin.login("robot$nosuch", "wrong")
    started = time.monotonic()
    assert robot("GET", "/users/current").status_code == 401
    assert time.monotonic() - started < 0.2
    harbor.configuration["auth_mode"] = "db_auth"
    started = time.monotonic()
    assert robot("GET", "/projects").status_code == 200
    assert time.monotonic() - started >= 0.3
