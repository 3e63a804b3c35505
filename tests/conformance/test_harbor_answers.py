"""What all of a Harbor's calls have in common: refusals, headers, paging, queries."""

import re

import httpx
import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller, done, made
from tests.sandbox.calls import API, refused

pytestmark = MARKS


# Headers and forms


def test_every_answer_has_a_request_id(caller: HarborCaller) -> None:
    assert caller("GET", "/ping").headers["x-request-id"]
    echoed = caller("GET", "/nosuch", headers={"X-Request-Id": "mine"})
    assert echoed.headers["x-request-id"] == "mine"


def test_answers_are_json_and_bear_no_version(caller: HarborCaller, project: str) -> None:
    answer = caller("GET", f"/projects/{project}")
    assert answer.headers["content-type"] == "application/json"
    assert "etag" not in answer.headers
    late = caller("PUT", f"/projects/{project}", json={}, headers={"If-Match": '"old"'})
    assert done(late)
    ping = caller("GET", "/ping")
    assert (ping.status_code, ping.text) == (200, "Pong")
    assert ping.headers["content-type"].startswith("text/plain")


def test_times_have_milliseconds(caller: HarborCaller, project: str) -> None:
    created = caller.json(f"/projects/{project}")["creation_time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)


def test_unknown_fields_and_a_trailing_slash_are_fine(caller: HarborCaller) -> None:
    body = {"project_name": unique("conformance"), "nonsense": [1]}
    assert made(caller("POST", "/projects/", json=body))


def test_a_refused_duplicate_burns_an_id(caller: HarborCaller) -> None:
    body = {"project_name": unique("conformance")}
    first = caller.made("/projects", body)
    assert caller("POST", "/projects", json=body).status_code == 409
    assert caller.made("/projects", {"project_name": unique("conformance")}) >= first + 2


# Refusals


@pytest.mark.demand("real", "Harbor: error bodies and codes word for word")
def test_unknown_paths_and_verbs(caller: HarborCaller) -> None:
    assert refused(caller("GET", "/x"), 404, "path /api/v2.0/x was not found")
    answer = caller("PATCH", "/projects/1")
    assert answer.status_code == 405
    [error] = answer.json()["errors"]
    assert error["code"] == "METHOD_NOT_ALLOWED"
    assert re.fullmatch(r"method PATCH is not allowed, but \[\w+,\w+,\w+\] are", error["message"])
    assert set(re.findall("[A-Z]+", error["message"])) == {"PATCH", "GET", "PUT", "DELETE"}


@pytest.mark.demand("real", "Harbor: 422 against 400")
@pytest.mark.parametrize(
    ("content", "headers", "fault"),
    [
        (b"", {}, "project in body is required"),
        (b"{", {}, "parsing project body"),
        (b'{"project_name": 7}', {}, "cannot unmarshal number into Go struct field"),
        (b'{"metadata": {"public": true}}', {}, "of type string"),
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


def test_only_a_request_without_a_body_needs_an_answer_that_harbor_can_give(
    caller: HarborCaller,
) -> None:
    image = {"Accept": "image/png"}
    missing = unique("missing")
    answer = caller("GET", f"/projects/{missing}", headers=image)
    assert answer.status_code == 422
    assert "unsupported media type requested" in answer.json()["errors"][0]["message"]
    assert made(caller("POST", "/projects", json={"project_name": missing}, headers=image))


@pytest.mark.demand("real", "Harbor: 422 against 400")
def test_a_path_id_must_be_a_number(caller: HarborCaller, project: str) -> None:
    for path, name in (("/robots", "robot_id"), (f"/projects/{project}/members", "mid")):
        fault = f'{name} in path must be of type int64: "abc"'
        assert refused(caller("GET", f"{path}/abc"), 422, f"validation failure list:\n{fault}")


@pytest.mark.demand("real", "Harbor: error bodies and codes word for word")
def test_a_fault_of_the_server_says_no_more(caller: HarborCaller) -> None:
    assert refused(caller("GET", f"/retentions/{MISSING}"), 500, "internal server error")


@pytest.mark.demand("real", "Harbor: error bodies and codes word for word")
def test_refused_credentials_are_none_at_all(caller: HarborCaller, project: str) -> None:
    wrong = caller.login(unique("nobody"), "Wrong1234")
    listed = wrong("GET", f"/projects?name={project}")
    assert (listed.status_code, listed.json()) == (200, [])
    assert listed.headers["x-total-count"] == "0"
    assert "harbor_version" not in wrong.json("/systeminfo")
    for path in ("/users/current", "/configurations", "/robots", f"/projects/{project}"):
        assert refused(wrong("GET", path), 401, "unauthorized")


# Lists


@pytest.fixture
def three(caller: HarborCaller) -> str:
    """What the names of three new projects begin with; they end in -0, -1 and -2."""
    prefix = unique("page")
    for number in (2, 0, 1):
        caller.made("/projects", {"project_name": f"{prefix}-{number}"})
    return prefix


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()]


@pytest.mark.demand("real", "Harbor: paging and Link headers")
def test_pages_tell_their_neighbours(caller: HarborCaller, three: str) -> None:
    query = f"name={three}&page_size=1"
    path = f"{API}/projects?name={three}"
    first = caller("GET", f"/projects?{query}")
    assert names(first) == [f"{three}-0"]
    assert first.headers["x-total-count"] == "3"
    assert first.headers["link"] == f'<{path}&page=2&page_size=1>; rel="next"'
    second = caller("GET", f"/projects?{query}&page=2")
    assert second.headers["link"] == (
        f'<{path}&page=1&page_size=1>; rel="prev" , <{path}&page=3&page_size=1>; rel="next"'
    )
    beyond = caller("GET", f"/projects?{query}&page=9")
    assert (names(beyond), beyond.headers["x-total-count"]) == ([], "3")
    whole = caller("GET", f"/projects?name={three}")
    assert (len(whole.json()), whole.headers["x-total-count"]) == (3, "3")
    assert "link" not in whole.headers


@pytest.mark.demand("real", "Harbor: paging and Link headers")
def test_links_sort_the_query_and_escape_nothing(caller: HarborCaller, three: str) -> None:
    answer = caller("GET", f"/projects?sort=name&q=name%3D~{three}&page_size=2&page=1")
    path = f"{API}/projects?page=2&page_size=2&q=name=~{three}&sort=name"
    assert answer.headers["link"] == f'<{path}>; rel="next"'


@pytest.mark.demand("real", "Harbor: paging and Link headers")
def test_the_sizes_of_a_page(caller: HarborCaller, three: str) -> None:
    for number in range(3, 11):
        caller.made("/projects", {"project_name": f"{three}-{number}"})
    query = f"/projects?name={three}"
    assert len(names(caller("GET", query))) == 10
    everything = caller("GET", f"{query}&page_size=0")
    assert len(names(everything)) == 11
    assert "link" not in everything.headers
    odd = caller("GET", f"{query}&page_size=-1")
    assert odd.status_code == 200
    assert odd.headers["link"]
    assert len(names(caller("GET", f"{query}&page_size=100"))) == 11
    answer = caller("GET", f"{query}&page_size=101")
    assert answer.status_code == 422
    assert "page_size in query" in answer.json()["errors"][0]["message"]


def test_lists_are_sorted_as_asked(caller: HarborCaller, three: str) -> None:
    ascending = [f"{three}-{number}" for number in range(3)]
    assert names(caller("GET", f"/projects?name={three}")) == ascending
    assert names(caller("GET", f"/projects?name={three}&sort=nosuch")) == ascending
    assert names(caller("GET", f"/projects?name={three}&sort=-name")) == ascending[::-1]


@pytest.mark.demand("real", "Harbor: double decoding")
def test_q_is_exact_or_fuzzy_and_ignores_what_it_does_not_know(
    caller: HarborCaller, project: str
) -> None:
    def found(query: str) -> list[str]:
        return names(caller("GET", f"/projects?{query}"))

    assert found(f"q=name%3D{project}") == found(f"q=name%3D~{project[:-1]}") == [project]
    assert found(f"q=name%3D{project[:-1]}") == []
    assert found(f"name={project[1:-1]}") == [project]
    assert found(f"q=name%3D{project},nosuch%3Dx") == [project]
    assert caller("GET", "/projects?q=name").status_code == 400
