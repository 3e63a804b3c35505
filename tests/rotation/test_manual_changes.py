"""One undisturbed run repairs a team's robots after any faults and manual changes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tenantry.onboarding import onboard
from tests.rotation.manual_changes import TEAM, at_once, machine, remediate
from tests.support.crash import Snapshot
from tests.support.demands import Figure
from tests.support.harness import Bench
from tests.support.interleaving import Interleaving
from tests.support.locks import Mutex
from tests.support.rotation_harness import SHOP, logins, order, pairs_are_in_order, pass_time, run


@pytest.mark.demand(
    "rotate",
    "random walks over onboarding, rotation, crashes, all at once, passing time "
    "and manual changes break no invariant",
)
@pytest.mark.long
def test_the_invariants_hold_after_any_sequence_of_manual_changes(
    bench: Bench, whole: bool, figure: Figure
) -> None:
    walks, steps = (40, 12) if whole else (6, 8)
    some = settings(
        max_examples=walks,
        stateful_step_count=steps,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    figure(f"{walks} random walks of up to {steps} steps")
    run_state_machine_as_test(machine(bench), settings=some)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.demand("rotate", "two rotations at once: one rotates")
def test_of_two_rotations_at_once_one_rotates(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    pass_time(bench, hours=1)
    given, lock = order(bench, force=True), Mutex()
    rotated: list[bool] = []

    def rotate() -> None:
        with bench.process() as systems:
            outcomes = run(bench, given, systems=systems, lock=lock, purposes=["pull"])
            rotated.extend(outcome.rotated for outcome in outcomes.values())

    at_once(rotate, rotate, rotate)
    assert sorted(rotated) == [False, False, True]
    pairs_are_in_order(bench)


@pytest.mark.long
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_beside_another_rotation_onboarding_and_remediation_in_any_order_of_requests(
    data: st.DataObject, interleaved: tuple[Bench, Snapshot]
) -> None:
    bench, start = interleaved
    start.restore()
    before, asked = logins(bench), order(bench, force=True)
    concurrent = Interleaving(lambda number: data.draw(st.integers(0, number - 1)))
    rotated: list[bool] = []

    def rotate() -> None:
        with bench.process() as systems:
            lock = concurrent.lock(["shop"])
            outcomes = run(bench, asked, systems=systems, lock=lock).values()
            rotated.extend(outcome.rotated for outcome in outcomes)

    def onboard_again() -> None:
        with bench.process() as systems:
            onboard(systems, bench.team(), lock=concurrent.lock(["shop"]))

    def remediate_drift() -> None:
        with bench.process(extras=True) as systems:
            remediate(systems, bench.teams, concurrent.lock(["shop"]))

    procedures = {
        "one": rotate,
        "two": rotate,
        "onboarding": onboard_again,
        "remediation": remediate_drift,
    }
    errors = concurrent.run(procedures)
    assert errors == {}
    assert sorted(rotated) == [False, True]
    pairs_are_in_order(bench)
    assert bench.systems.harbor_client.accepts(*before["team-shop-jobs/harbor-pull"])


@pytest.fixture
def interleaved(bench: Bench) -> tuple[Bench, Snapshot]:
    """Return an onboarded team that lacks a guardrail: all procedures have something to write."""
    bench.declare(TEAM).onboard()
    pass_time(bench, hours=1)
    bench.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-default-deny", "team-shop")
    return bench, Snapshot(bench.sandbox)
