"""A Harbor's rules about tags: retention policies, and tags that nobody may move."""

import re
import time

import pytest

from tests.conformance.harbor import MARKS, MISSING, HarborCaller, done, made
from tests.sandbox.calls import API, refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: retention"),
]
DAILY = "0 0 3 * * *"
TAGS = {"kind": "doublestar", "decoration": "matches", "pattern": "**"}
REPOSITORIES = {"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}
SELECTORS = {"tag_selectors": [TAGS], "scope_selectors": {"repository": [REPOSITORIES]}}


def rule(count: int = 10) -> dict:
    return {
        "disabled": False,
        "action": "retain",
        "template": "latestPushedK",
        "params": {"latestPushedK": count},
        **SELECTORS,
    }


def policy(project: int, cron: str = "", **fields: object) -> dict:
    trigger = {"kind": "Schedule", "settings": {"cron": cron}, "references": {}}
    scope = {"level": "project", "ref": project}
    return {"algorithm": "or", "rules": [rule()], "trigger": trigger, "scope": scope, **fields}


@pytest.fixture
def number(caller: HarborCaller, project: str) -> int:
    """The id of a new project."""
    found: int = caller.json(f"/projects/{project}")["project_id"]
    return found


# Retention


def test_the_project_names_its_policy(caller: HarborCaller, number: int) -> None:
    answer = caller("POST", "/retentions", json=policy(number))
    assert made(answer)
    policy_id = int(answer.headers["location"].removeprefix(f"{API}/retentions/"))
    metadata = caller.json(f"/projects/{number}")["metadata"]
    assert metadata["retention_id"] == str(policy_id)
    said = f"bad request: project {number} already has retention policy {policy_id}"
    assert refused(caller("POST", "/retentions", json=policy(number)), 400, said)
    assert done(caller("DELETE", f"/retentions/{policy_id}"))
    assert "retention_id" not in caller.json(f"/projects/{number}")["metadata"]
    gone = caller("GET", f"/retentions/{policy_id}")
    assert refused(gone, 500, "internal server error")
    assert caller.made("/retentions", policy(number)) > policy_id


def test_a_policy_is_shown_without_what_is_empty(caller: HarborCaller, number: int) -> None:
    path = f"/retentions/{caller.made('/retentions', policy(number))}"
    shown = caller.json(path)
    [seen] = shown["rules"]
    assert "disabled" not in seen
    assert "references" not in shown["trigger"]
    assert shown["scope"] == {"level": "project", "ref": number}
    assert shown["algorithm"] == "or"
    assert (seen["template"], seen["params"]) == ("latestPushedK", {"latestPushedK": 10})
    for name, selectors in SELECTORS.items():
        assert seen[name] == selectors
    assert "next_scheduled_time" not in shown["trigger"]["settings"]


def test_a_schedule_is_shown_with_its_next_time(caller: HarborCaller, number: int) -> None:
    path = f"/retentions/{caller.made('/retentions', policy(number, DAILY))}"
    settings = caller.json(path)["trigger"]["settings"]
    assert settings["cron"] == DAILY
    assert settings["next_scheduled_time"]
    # A rule that is sent without being disabled is not.
    disabled = policy(number, rules=[rule() | {"disabled": True}])
    assert done(caller("PUT", path, json=disabled))
    after = caller.json(path)
    assert after["rules"][0]["disabled"] is True
    assert "next_scheduled_time" not in after["trigger"]["settings"]


def test_what_is_no_schedule(caller: HarborCaller, number: int) -> None:
    answer = caller("POST", "/retentions", json=policy(number, "bad"))
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["code"] == "BAD_REQUEST"
    said = "invalid cron string for scheduled tag retention: bad, error: "
    assert error["message"].startswith(said)
    for cron in ("5 0 0 * * *", "0 0 0 * *", "0 61 0 * * *"):
        answer = caller("POST", "/retentions", json=policy(number, cron))
        assert answer.status_code == 400, cron


def test_rules_are_counted_and_told_apart_and_no_more(caller: HarborCaller, number: int) -> None:
    answer = caller("POST", "/retentions", json=policy(number, rules=[rule(), rule()]))
    assert refused(answer, 409, "resource conflict: rule 1 is conflict with rule 0")
    many = [rule(count) for count in range(1, 17)]
    answer = caller("POST", "/retentions", json=policy(number, rules=many))
    assert refused(answer, 400, "bad request: only 15 rules are allowed at most")
    path = f"/retentions/{caller.made('/retentions', policy(number, rules=[]))}"
    assert done(caller("PUT", path, json=policy(number, rules=many[:15], algorithm="nonsense")))
    unknown = rule() | {"template": "nonsense"}
    assert done(caller("PUT", path, json=policy(number, rules=[unknown])))


def test_policies_of_what_is_missing(caller: HarborCaller, number: int) -> None:
    answer = caller("POST", "/retentions", json=policy(MISSING))
    assert refused(answer, 400, f"bad request: invalid Project id {MISSING}")
    path = f"/retentions/{MISSING}"
    assert refused(caller("GET", path), 500, "internal server error")
    said = f"resource not found: the retention policy id {MISSING} does not match"
    assert refused(caller("PUT", path, json=policy(number)), 404, said)


def test_a_run_of_a_policy_ends_well(caller: HarborCaller, number: int) -> None:
    path = f"/retentions/{caller.made('/retentions', policy(number))}/executions"
    answer = caller("POST", path, json={"dry_run": True})
    assert made(answer)
    end = time.monotonic() + 60
    while (row := caller.json(path)[0])["status"] in ("Pending", "Running"):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert (row["status"], row["dry_run"]) == ("Success", True)
    # These times alone are finer than milliseconds.
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{4,6}Z", row["start_time"])
    missing = f"/retentions/{MISSING}/executions"
    assert caller("POST", missing, json={"dry_run": True}).status_code == 400


# Immutable tags


@pytest.mark.demand("real", "Harbor: immutable rules")
def test_rules_of_immutable_tags(caller: HarborCaller, number: int) -> None:
    path = f"/projects/{number}/immutabletagrules"
    sent = {"action": "immutable", "template": "immutable_template", **SELECTORS}
    answer = caller("POST", path, json=sent)
    assert made(answer)
    rule_id = int(answer.headers["location"].rpartition("/")[2])
    assert answer.headers["location"] == f"{API}{path}/{rule_id}"
    again = caller("POST", path, json=sent)
    assert again.status_code == 409
    assert again.json()["errors"][0]["code"] == "CONFLICT"
    [row] = caller.json(path)
    assert (row["id"], row.get("disabled", False)) == (rule_id, False)
    assert sent.items() <= row.items()
    assert caller("GET", f"{path}/{rule_id}").status_code == 405
    # An update says its id twice.
    assert caller("PUT", f"{path}/{rule_id}", json=sent).status_code == 400
    assert done(caller("PUT", f"{path}/{rule_id}", json=row | {"disabled": True}))
    assert caller.json(path)[0]["disabled"] is True
    assert done(caller("PUT", f"{path}/{rule_id}", json=row | {"disabled": False}))
    assert caller.json(path)[0].get("disabled", False) is False
    assert done(caller("DELETE", f"{path}/{rule_id}"))
    assert caller.json(path) == []
