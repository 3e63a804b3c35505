"""What all of a Harbor's calls have in common: refusals, headers, paging, queries, sessions."""

import re

import httpx
import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import HarborCaller
from tests.sandbox.calls import API, CLIENT, refused

NO_TOKEN = "CSRF token not found in request"
TOKEN = "x-harbor-csrf-token"


@pytest.mark.facts
def test_every_answer_has_a_request_id(caller: HarborCaller) -> None:
    assert caller("GET", "/ping").headers["x-request-id"]
    echoed = caller("GET", "/nosuch", headers={"X-Request-Id": "mine"})
    assert echoed.headers["x-request-id"] == "mine"


@pytest.mark.facts
def test_unknown_paths_and_verbs(caller: HarborCaller) -> None:
    assert refused(caller("GET", "/x"), 404, "path /api/v2.0/x was not found")
    answer = caller("PATCH", "/projects/1")
    assert answer.status_code == 405
    message = answer.json()["errors"][0]["message"]
    assert re.fullmatch(r"method PATCH is not allowed, but \[\w+,\w+,\w+\] are", message)


@pytest.mark.facts
@pytest.mark.parametrize(
    ("content", "headers", "fault"),
    [
        (b"", {}, "project in body is required"),
        (b"{", {}, "parsing project body"),
        (b'{"project_name": 7}', {}, "cannot unmarshal number into Go struct field"),
        (b"{}", {"Content-Type": "text/plain"}, "unsupported media type"),
    ],
)
def test_faults_of_the_schema_are_422(
    caller: HarborCaller, content: bytes, headers: dict, fault: str
) -> None:
    headers = {"Content-Type": "application/json", **headers}
    answer = caller("POST", "/projects", content=content, headers=headers)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["code"] == "UNPROCESSABLE_ENTITY"
    assert error["message"].startswith("validation failure list:\n")
    assert fault in error["message"]


@pytest.mark.facts
def test_a_path_id_must_be_a_number(caller: HarborCaller) -> None:
    message = 'validation failure list:\nrobot_id in path must be of type int64: "abc"'
    assert refused(caller("GET", "/robots/abc"), 422, message)


@pytest.mark.facts
def test_pages_tell_their_neighbours(caller: HarborCaller) -> None:
    prefix = unique("page")
    for number in range(3):
        caller.made("/projects", {"project_name": f"{prefix}-{number}"})
    query = f"name={prefix}&page_size=1"
    path = f"{API}/projects?name={prefix}"
    first = caller("GET", f"/projects?{query}")
    assert [each["name"] for each in first.json()] == [f"{prefix}-0"]
    assert first.headers["x-total-count"] == "3"
    assert first.headers["link"] == f'<{path}&page=2&page_size=1>; rel="next"'
    second = caller("GET", f"/projects?{query}&page=2")
    assert second.headers["link"] == (
        f'<{path}&page=1&page_size=1>; rel="prev" , <{path}&page=3&page_size=1>; rel="next"'
    )
    beyond = caller("GET", f"/projects?{query}&page=9")
    assert (beyond.status_code, beyond.json()) == (200, [])
    everything = caller("GET", f"/projects?name={prefix}&page_size=0")
    assert len(everything.json()) == 3
    assert "link" not in everything.headers
    assert caller("GET", "/projects?page_size=101").status_code == 422


@pytest.mark.facts
def test_q_is_exact_or_fuzzy_and_ignores_what_it_does_not_know(
    caller: HarborCaller, project: str
) -> None:
    def names(query: str) -> list[str]:
        return [each["name"] for each in caller.json(f"/projects?{query}")]

    assert names(f"q=name%3D{project}") == names(f"q=name%3D~{project[:-1]}") == [project]
    assert names(f"q=name%3D{project[:-1]}") == []
    assert names(f"q=name%3D{project},nosuch%3Dx&sort=nosuch") == [project]
    assert caller("GET", "/projects?q=name").status_code == 400


# Cookies and sessions


class Session:
    """A logged-in session whose cookies are kept by hand."""

    def __init__(self, caller: HarborCaller, username: str, password: str) -> None:
        self.url = caller.url
        self.sid = "unknown"
        answer = self("GET", "/systeminfo", headers={TOKEN: ""}, cookies="sid=unknown")
        self.token, self.csrf = answer.headers[TOKEN], cookies(answer)["_gorilla_csrf"]
        self.login = self("POST", "/c/login", data={"principal": username, "password": password})
        self.sid = cookies(self.login)["sid"]

    def __call__(
        self, method: str, path: str, headers: dict | None = None, **kwargs
    ) -> httpx.Response:
        sent = kwargs.pop("cookies", None) or f"sid={self.sid}; _gorilla_csrf={self.csrf}"
        given = headers if headers is not None else {TOKEN: self.token}
        path = path if path.startswith("/c/") else API + path
        return CLIENT.request(method, self.url + path, headers={"cookie": sent, **given}, **kwargs)


def cookies(response: httpx.Response) -> dict[str, str]:
    found = [line.partition(";")[0] for line in response.headers.get_list("set-cookie")]
    return dict(line.partition("=")[::2] for line in found)


@pytest.fixture
def session(caller: HarborCaller, harbor) -> Session:
    return Session(caller, harbor.username, harbor.password)


@pytest.mark.facts
def test_any_sid_cookie_makes_writes_need_a_token(caller: HarborCaller) -> None:
    bogus = {"cookie": "sid=bogus"}
    body = {"project_name": unique("conformance")}
    answer = caller("POST", "/projects", json=body, headers=bogus)
    assert refused(answer, 403, NO_TOKEN)
    assert answer.headers[TOKEN]
    assert caller("GET", "/projects", headers=bogus).status_code == 200
    assert caller("POST", "/projects", json=body, headers={"cookie": "a=b"}).status_code == 201


@pytest.mark.facts
def test_a_session_serves_without_setting_cookies(session: Session, project: str) -> None:
    assert (session.login.status_code, session.login.content) == (200, b"")
    current = session("GET", "/users/current")
    assert current.json()["sysadmin_flag"] is True
    for answer in (current, session("PUT", f"/projects/{project}", json={})):
        assert answer.status_code == 200
        assert "sid" not in cookies(answer)
    assert refused(session("PUT", f"/projects/{project}", json={}, headers={}), 403, NO_TOKEN)


@pytest.mark.facts
def test_a_dead_session_is_told_by_a_new_cookie(session: Session, project: str) -> None:
    session.sid = unique("dead")
    for path in ("/users/current", "/robots", f"/projects/{project}", "/configurations"):
        answer = session("GET", path)
        assert refused(answer, 401, "unauthorized")
        assert "sid" in cookies(answer)
    listed = session("GET", "/projects?page_size=0")
    assert listed.status_code == 200
    assert project not in [each["name"] for each in listed.json()]
    assert "sid" in cookies(listed)
    assert refused(session("PUT", f"/projects/{project}", json={}), 401, "unauthorized")


@pytest.mark.facts
def test_login_needs_a_token(nobody: HarborCaller) -> None:
    answer = nobody("POST", "/c/login", data={"principal": "nobody", "password": "nothing"})
    assert refused(answer, 403, NO_TOKEN)
    assert answer.headers[TOKEN]
