"""Credentials that Harbor does not take, and those that it refuses for another reason."""

import base64
import json

import pytest

from tenantry.rotation.observe import _Observation
from tests.support.harness import PLATFORM, Bench
from tests.support.rotation_harness import (
    PULL,
    all_work,
    change_secret,
    clear_faults,
    inject_fault,
    logins,
    only,
    pairs_are_in_order,
    pass_time,
    robots,
    run,
    secret,
)


def test_a_dead_credential_is_rotated(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    bench.systems.harbor_client.patch(f"/robots/{robots(bench)['pull-a'].id}", {})
    outcome = only(run(bench))
    assert (outcome.why, outcome.robot) == ("broken", "pull-b")
    pairs_are_in_order(bench)


def test_a_dead_credential_during_an_overlap_is_renewed_and_the_old_robot_stays(
    pull: Bench,
) -> None:
    first = logins(pull)
    run(pull)
    pull.systems.harbor_client.patch(f"/robots/{robots(pull)['pull-b'].id}", {})
    assert only(run(pull)).robot == "pull-b"
    pairs_are_in_order(pull)
    assert all_work(pull, first)


def test_a_disabled_robot_during_an_overlap_is_created_again_and_the_old_robot_stays(
    pull: Bench,
) -> None:
    first = logins(pull)
    run(pull)
    number = robots(pull)["pull-b"].id
    robots(pull)["pull-b"].disabled = True
    outcome = only(run(pull))
    assert (outcome.robot, outcome.why, outcome.error) == ("pull-b", "broken", None)
    assert robots(pull)["pull-b"].id != number
    pairs_are_in_order(pull)
    assert all_work(pull, first)


def test_a_secret_that_was_deleted_during_an_overlap_is_written_and_the_old_robot_stays(
    pull: Bench,
) -> None:
    first = logins(pull)
    run(pull)
    pull.sandbox.kubernetes.delete("Secret", "harbor-pull", "team-shop")
    outcome = only(run(pull))
    assert (outcome.robot, outcome.rotated, outcome.error) == ("pull-b", True, None)
    pairs_are_in_order(pull)
    assert all_work(pull, first)


def test_a_credential_that_harbor_accepts_again_is_not_replaced(
    pull: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Harbor rejected it when it was observed, and accepts it when its robot would be renewed."""
    run(pull)
    before = logins(pull)
    monkeypatch.setattr(_Observation, "_find_working", lambda *args: None)
    outcome = only(run(pull))
    assert "Harbor accepts 'robot$team-shop+pull-b' again" in str(outcome.error)
    assert not outcome.rotated
    assert logins(pull) == before
    assert all_work(pull, before)


@pytest.mark.parametrize("is_valid", [True, False])
def test_the_outcome_distinguishes_a_rejected_credential_from_an_invalid_secret(
    is_valid: bool, bench: Bench
) -> None:
    bench.declare({**PULL, "robots": {"pull": {"expiry_days": 30}, "ci": None}}).onboard()
    if is_valid:
        bench.systems.harbor_client.patch(f"/robots/{robots(bench)['pull-a'].id}", {})
        problem = "Harbor rejects the credential in Secret team-shop/harbor-pull"
    else:
        change_secret(bench, data={".dockerconfigjson": "e30="})
        problem = "Secret team-shop/harbor-pull holds no valid credential for "
    assert only(run(bench)).note.startswith(problem)


def test_a_robot_that_harbor_rejects_temporarily_is_not_deleted(pull: Bench) -> None:
    """It answers 401 also where it can't look a robot up; then it refuses everybody."""
    run(pull)
    before = logins(pull)
    inject_fault(pull, "GET", "/service/token", 401)
    outcome = only(run(pull))
    assert "it rejects the connection's own account" in str(outcome.error)
    clear_faults(pull)
    assert all_work(pull, before)
    assert set(robots(pull)) == {"pull-a", "pull-b"}
    assert only(run(pull)).state == "overlapping"


@pytest.mark.demand("rotate", "an expired robot is explained")
def test_an_expired_robot_is_reported_and_rotated(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    pass_time(bench, days=31)
    bench.declare({**PULL, "robots": {"pull": {"expiry_days": 30}, "ci": None}})
    assert "robot 'pull-a' expired at" in only(run(bench)).note
    bench.declare(PULL)
    assert only(run(bench)).state == "rotated"
    pairs_are_in_order(bench)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.demand("rotate", "a changed prefix is explained and remediated")
def test_a_changed_prefix_is_explained_and_no_password_is_changed(pull: Bench) -> None:
    run(pull)
    (_, password), *_ = logins(pull).values()
    pull.systems.harbor_client.put("/configurations", {"robot_name_prefix": "bot-"})
    outcome = only(run(pull))
    assert "its robot_name_prefix was changed, which renames all robots at once" in outcome.note
    assert not outcome.rotated
    assert set(logins(pull).values()) == {("bot-team-shop+pull-b", password)}
    pairs_are_in_order(pull)


def test_onboarding_repairs_a_changed_prefix_without_new_passwords(pull: Bench) -> None:
    (_, password), *_ = logins(pull).values()
    pull.systems.harbor_client.put("/configurations", {"robot_name_prefix": "bot-"})
    pull.onboard()
    assert set(logins(pull).values()) == {("bot-team-shop+pull-a", password)}


def test_a_renamed_registry_is_written_and_no_password_is_changed(pull: Bench) -> None:
    run(pull)
    (_, password), *_ = logins(pull).values()
    pull.declare({**PULL}, platform={**PLATFORM, "harbor": {"registry": "new.example.com"}})
    outcome = only(run(pull))
    assert "Harbor's registry is 'new.example.com'" in outcome.note
    assert not outcome.rotated
    content = json.loads(base64.b64decode(secret(pull)["data"][".dockerconfigjson"]))
    assert content["auths"]["new.example.com"]["password"] == password
