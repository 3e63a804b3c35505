"""What else was recorded of a Harbor: labels, webhooks, statistics, the log."""

import httpx

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, HarborCaller, done, made
from tests.sandbox.calls import API, refused

pytestmark = MARKS


def conflict(answer: httpx.Response) -> bool:
    assert answer.status_code == 409, answer.text
    return answer.json()["errors"][0]["code"] == "CONFLICT"


def test_a_label_is_there_once(caller: HarborCaller, project: str) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    body = {"name": unique("conformance"), "scope": "p", "project_id": number}
    answer = caller("POST", "/labels", json=body)
    assert made(answer)
    assert conflict(caller("POST", "/labels", json=body))
    [shown] = caller.json(f"/labels?scope=p&project_id={number}")
    assert (shown["name"], shown["scope"]) == (body["name"], "p")
    assert refused(caller("GET", "/labels"), 400, "invalid scope: ")
    assert done(caller("DELETE", answer.headers["location"].removeprefix(API)))


def test_a_webhook_is_there_once_and_shows_its_secret(caller: HarborCaller, project: str) -> None:
    target = {"type": "http", "address": "http://192.0.2.1/hook", "auth_header": "Bearer hush"}
    path = f"/projects/{project}/webhook/policies"
    body = {"name": "hook", "enabled": False, "event_types": ["PUSH_ARTIFACT"]}
    answer = caller("POST", path, json={**body, "targets": [target]})
    assert made(answer)
    assert conflict(caller("POST", path, json={**body, "targets": [target]}))
    shown = caller.json(answer.headers["location"].removeprefix(API))
    assert shown["targets"][0]["auth_header"] == "Bearer hush"
    assert [each["name"] for each in caller.json(path)] == ["hook"]
    assert caller("POST", path, json={**body, "name": "other"}).status_code == 400
    assert done(caller("DELETE", answer.headers["location"].removeprefix(API)))


def test_statistics_are_for_who_is_known(
    caller: HarborCaller, nobody: HarborCaller, project: str
) -> None:
    counted = caller.json("/statistics")
    assert counted["total_project_count"] >= counted["private_project_count"] >= 1
    assert refused(nobody("GET", "/statistics"), 401, "unauthorized")


def test_the_log_names_who_made_what(caller: HarborCaller, project: str) -> None:
    query = f"q=operation%3Dcreate,resource%3D{project}"
    [row] = caller.json(f"/auditlog-exts?{query}")
    assert row["resource_type"] == "project"
    # Harbor 2.15 writes nothing to the log of before any more.
    assert caller.json(f"/audit-logs?{query}") == []
