"""What all of Harbor's calls have in common: refusals, headers, paging, queries."""

import re

import pytest

from tests.sandbox.calls import refused


def test_every_answer_has_a_request_id(admin) -> None:
    assert admin("GET", "/ping").headers["x-request-id"]
    echoed = admin("GET", "/nosuch", headers={"X-Request-Id": "mine"})
    assert echoed.headers["x-request-id"] == "mine"


def test_creates_say_where_and_nothing_else(admin) -> None:
    answer = admin("POST", "/projects", json={"project_name": "a"})
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"] == "/api/v2.0/projects/2"
    named = {"X-Resource-Name-In-Location": "true"}
    answer = admin("POST", "/projects", json={"project_name": "b"}, headers=named)
    assert answer.headers["location"] == "/api/v2.0/projects/b"
    answer = admin("PUT", "/projects/a", json={})
    assert (answer.status_code, answer.content) == (200, b"")


def test_unknown_paths_and_verbs(admin) -> None:
    assert refused(admin("GET", "/x"), 404, "path /api/v2.0/x was not found")
    answer = admin("PATCH", "/projects/1")
    assert answer.status_code == 405
    message = answer.json()["errors"][0]["message"]
    assert re.fullmatch(r"method PATCH is not allowed, but \[\w+,\w+,\w+\] are", message)
    assert set(re.findall("[A-Z]+", message)) == {"PATCH", "GET", "PUT", "DELETE"}


def test_what_is_real_but_not_simulated_says_so(admin) -> None:
    for path in ("/labels", "/projects/library/repositories", "/system/gc", "/c/userExists"):
        answer = admin("GET", path)
        assert answer.status_code == 501, path
        assert "tenantry/sandbox/harbor/" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("content", "headers", "fault"),
    [
        (b"", {}, "project in body is required"),
        (b"{", {}, "parsing project body"),
        (b'{"project_name": 7}', {}, "cannot unmarshal number into Go struct field"),
        (b'{"metadata": {"public": true}}', {}, "of type string"),
        (b"{}", {"Content-Type": "text/plain"}, "unsupported media type"),
        (b'{"project_name":"x"}', {"Accept": "image/png"}, "unsupported media type"),
    ],
)
def test_faults_of_the_schema_are_422(admin, content, headers, fault) -> None:
    headers = {"Content-Type": "application/json", **headers}
    answer = admin("POST", "/projects", content=content, headers=headers)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["code"] == "UNPROCESSABLE_ENTITY"
    assert error["message"].startswith("validation failure list:\n")
    assert fault in error["message"]


def test_a_path_id_must_be_a_number(admin) -> None:
    message = 'validation failure list:\nrobot_id in path must be of type int64: "abc"'
    assert refused(admin("GET", "/robots/abc"), 422, message)


def test_unknown_fields_and_a_trailing_slash_are_fine(admin) -> None:
    body = {"project_name": "x", "nonsense": [1]}
    assert admin("POST", "/projects/", json=body).status_code == 201


def test_pages(admin) -> None:
    for name in "abcd":
        admin.made("/projects", {"project_name": name})
    first = admin("GET", "/projects?page_size=2")
    assert [p["name"] for p in first.json()] == ["a", "b"]
    assert first.headers["x-total-count"] == "5"
    assert first.headers["link"] == '</api/v2.0/projects?page=2&page_size=2>; rel="next"'
    second = admin("GET", "/projects?page_size=2&page=2&q=name%3D~&sort=name")
    assert second.headers["link"] == (
        '</api/v2.0/projects?page=1&page_size=2&q=name=~&sort=name>; rel="prev" , '
        '</api/v2.0/projects?page=3&page_size=2&q=name=~&sort=name>; rel="next"'
    )
    beyond = admin("GET", "/projects?page=9")
    assert (beyond.status_code, beyond.json()) == (200, [])
    everything = admin("GET", "/projects?page_size=0")
    assert len(everything.json()) == 5
    assert "link" not in everything.headers
    assert admin("GET", "/projects?page_size=-1").status_code == 200
    assert admin("GET", "/projects?page_size=101").status_code == 422
    assert "link" not in admin("GET", "/projects").headers


def test_queries(admin) -> None:
    for name in ("ab", "abc"):
        admin.made("/projects", {"project_name": name})

    def names(query: str) -> list[str]:
        return [p["name"] for p in admin.json(f"/projects?{query}")]

    assert names("q=name%3Dab") == ["ab"]
    assert names("q=name%3D~ab") == ["ab", "abc"]
    assert names("name=b") == ["ab", "abc", "library"]
    assert names("q=nosuch%3Dx&sort=nosuch") == ["ab", "abc", "library"]
    assert names("sort=-name") == ["library", "abc", "ab"]
    assert admin("GET", "/projects?q=name").status_code == 400


def test_a_refused_duplicate_burns_an_id(admin) -> None:
    assert admin.made("/projects", {"project_name": "a"}) == 2
    answer = admin("POST", "/projects", json={"project_name": "a"})
    assert refused(answer, 409, "The project named a already exists")
    assert admin.made("/projects", {"project_name": "b"}) == 4


def test_times_have_milliseconds(admin) -> None:
    created = admin.json("/projects/library")["creation_time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)


def test_read_only_mode_refuses_writes_but_its_own_end(admin) -> None:
    assert admin("PUT", "/configurations", json={"read_only": True}).status_code == 200
    message = "The system is in read only mode. Any modification is prohibited."
    answer = admin("POST", "/projects", json={"project_name": "a"})
    assert refused(answer, 403, message, code="DENIED")
    assert admin("GET", "/projects").status_code == 200
    assert admin("PUT", "/configurations", json={"read_only": False}).status_code == 200
    admin.made("/projects", {"project_name": "a"})
