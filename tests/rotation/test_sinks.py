"""A credential that is written to several Secrets, and what becomes of one that is not."""

import pytest

from tenantry.systems.harbor.robots import robot_id
from tests.support.harness import Bench, Data
from tests.support.rotation_harness import (
    SPREAD_OUT,
    SPREADING,
    add_namespace,
    all_work,
    clear_faults,
    inject_fault,
    logins,
    none_works,
    only,
    order,
    pairs_are_in_order,
    pass_time,
    run,
    secret,
)


@pytest.fixture
def spread_out(bench: Bench) -> Bench:
    """A credential in four Secrets, due."""
    add_namespace(bench)
    bench.declare(SPREAD_OUT, platform=SPREADING).onboard()
    pass_time(bench, days=20)
    return bench


def test_every_sink_gets_the_new_credential(spread_out: Bench) -> None:
    before = logins(spread_out)
    assert len(before) == 4
    only(run(spread_out))
    after = logins(spread_out)
    assert len(set(after.values())) == 1
    assert after.items().isdisjoint(before.items())
    assert secret(spread_out, "pull-shop", "pipelines")["type"] == "kubernetes.io/basic-auth"
    pairs_are_in_order(spread_out)


def test_a_sink_that_fails_is_written_later_and_extends_the_overlap(
    spread_out: Bench,
) -> None:
    before = logins(spread_out)
    inject_fault(spread_out, "PATCH", "/pipelines/secrets/pull-shop", 403)
    outcome = only(run(spread_out))
    assert outcome.rotated
    assert outcome.error is not None
    pass_time(spread_out, hours=30)
    assert only(run(spread_out)).error is not None
    assert all_work(spread_out, before), "nothing is retired while a sink holds the old one"
    clear_faults(spread_out)
    run(spread_out)
    pairs_are_in_order(spread_out)
    pass_time(spread_out, hours=23)
    run(spread_out)
    assert all_work(spread_out, before)
    pass_time(spread_out, hours=2)
    run(spread_out)
    assert none_works(spread_out, before)


def test_a_forced_rotation_keeps_the_robot_whose_credential_a_sink_still_holds(
    spread_out: Bench,
) -> None:
    before = logins(spread_out)
    inject_fault(spread_out, "PATCH", "/pipelines/secrets/pull-shop", 403)
    assert only(run(spread_out)).rotated
    pass_time(spread_out, hours=30)
    outcome = only(run(spread_out, order(spread_out, force=True)))
    assert not outcome.rotated
    assert all_work(spread_out, before)


def test_a_sink_whose_namespace_is_missing_is_waited_for(bench: Bench) -> None:
    bench.declare(SPREAD_OUT, platform=SPREADING).onboard()
    waiting = {str(wait.id): wait.reason for wait in bench.plan().waiting}
    assert set(waiting.values()) == {"there is no namespace 'pipelines'"}
    add_namespace(bench)
    bench.onboard()
    pairs_are_in_order(bench)


def test_a_sink_without_a_namespace_does_not_block_the_rotation(bench: Bench) -> None:
    bench.declare(SPREAD_OUT, platform=SPREADING).onboard()
    outcome = only(run(bench))
    assert (outcome.steps, outcome.error) == ((), None)
    assert outcome.note.startswith("the namespace of pipelines/")
    pass_time(bench, days=20)
    outcome = only(run(bench))
    assert (outcome.rotated, outcome.error) == (True, None)
    add_namespace(bench)
    bench.onboard()
    pairs_are_in_order(bench)


def test_a_rejected_sink_blocks_neither_other_sinks_nor_the_next_rotation(
    spread_out: Bench,
) -> None:
    before = logins(spread_out)
    _, refused, *_ = before
    namespace, name = refused.split("/")
    inject_fault(spread_out, "PATCH", f"/{namespace}/secrets/{name}", 403)
    assert only(run(spread_out)).error is not None
    after = logins(spread_out)
    assert [place for place in after if after[place] == before[place]] == [refused]
    pass_time(spread_out, days=20)
    outcome = only(run(spread_out))
    assert outcome.rotated, "what the sink still holds has expired anyway"
    assert outcome.error is not None
    clear_faults(spread_out)
    run(spread_out)
    pairs_are_in_order(spread_out)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"metadata": {"name": "pull-shop", "namespace": "pipelines"}}, id="no mark"),
        pytest.param({"immutable": True}, id="immutable"),
    ],
)
def test_the_old_robot_stays_while_a_sink_that_cannot_be_written_holds_its_credential(
    spread_out: Bench, changes: Data
) -> None:
    before = logins(spread_out)
    spread_out.sandbox.kubernetes.put({**secret(spread_out, "pull-shop", "pipelines"), **changes})

    outcome = only(run(spread_out))

    assert outcome.rotated, "the other Secrets get the new credential in time"
    assert "Secret pipelines/pull-shop" in str(outcome.error)
    assert "neither disabled nor deleted" in str(outcome.error)
    for _ in range(6):
        pass_time(spread_out, hours=30)
        assert only(run(spread_out)).error is not None
        assert all_work(spread_out, before), "the sink's consumers still log in"
        observed, team = spread_out.observe(), spread_out.team()
        old = robot_id("team-shop", "pull-a")
        assert not spread_out.systems.credentials.is_past_retirement(team, old, observed), (
            "drift leaves it, too"
        )

    spread_out.sandbox.kubernetes.delete("Secret", "pull-shop", "pipelines")
    assert only(run(spread_out)).error is None
    pass_time(spread_out, hours=25)
    run(spread_out)
    assert none_works(spread_out, before)
    pairs_are_in_order(spread_out)
