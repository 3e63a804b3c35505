"""Concurrent runs of onboarding, with concurrent changes by hand: the invariants hold."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tasks.step import RETRIED
from tenantry.onboarding import onboard, onboard_many, plan_all
from tests.support.crash import Snapshot
from tests.support.faults import TRIES
from tests.support.harness import REALM, SHOP, Bench, FaultySandbox, prepare
from tests.support.interleaving import Interleaving
from tests.support.invariants import assert_in_sync, others, our_robots

pytestmark = pytest.mark.demand("robust", "all of tests/core/test_concurrency.py")

TEAMS = ("shop", "data")
PLATFORM = {
    "name": "Test platform",
    "defaults": {"harbor": {"groups": {"all-teams-admin": "projectAdmin"}}},
}


# --- Changes by hand -----------------------------------------------------------------------------


def publish(bench: Bench, team: str) -> None:
    project = bench.sandbox.harbor.projects.get(f"team-{team}")
    if project:
        project.metadata["public"] = "true"


def demote(bench: Bench, team: str) -> None:
    project = bench.sandbox.harbor.projects.get(f"team-{team}")
    for member in project.members.values() if project else ():
        member.role_id = 3 if member.entity_type == "g" else member.role_id


def break_a_credential(bench: Bench, team: str) -> None:
    for robot in _robots(bench, team)[:1]:
        robot.secret_hash = "0" * 64


def delete_a_robot(bench: Bench, team: str) -> None:
    for robot in _robots(bench, team)[:1]:
        del bench.sandbox.harbor.robots[robot.id]


def _robots(bench: Bench, team: str) -> list[Any]:
    project = bench.sandbox.harbor.projects.get(f"team-{team}")
    robots = bench.sandbox.harbor.robots.values()
    return [r for r in robots if project and r.project_id == project.id]


def delete_a_secret(bench: Bench, team: str) -> None:
    if bench.sandbox.kubernetes.get("Secret", "harbor-ci", f"team-{team}"):
        bench.sandbox.kubernetes.delete("Secret", "harbor-ci", f"team-{team}")


def delete_a_network_policy(bench: Bench, team: str) -> None:
    policy = ("NetworkPolicy", "tenantry-default-deny", f"team-{team}")
    if bench.sandbox.kubernetes.get(*policy):
        bench.sandbox.kubernetes.delete(*policy)


def disown_a_group(bench: Bench, team: str) -> None:
    group = bench.sandbox.keycloak.realms[REALM].child_named(None, f"team-{team}")
    if group:
        group.attributes["tenantry.io/team"] = [team, "x"]


BY_HAND: list[Callable[[Bench, str], None]] = [
    publish,
    demote,
    break_a_credential,
    delete_a_robot,
    delete_a_secret,
    delete_a_network_policy,
    disown_a_group,
]

# --- The machine ---------------------------------------------------------------------------------


class ConcurrentRuns(RuleBasedStateMachine):
    """Runs that begin at the same time, their requests in any order."""

    sandbox: FaultySandbox
    empty: Snapshot
    runs = 0
    requests = 0

    def __init__(self) -> None:
        super().__init__()
        self.empty.restore()
        self.folder = Path(tempfile.mkdtemp())
        self.bench = Bench(self.sandbox, self.folder)
        self.bench.declare(*({"name": name} for name in TEAMS), platform=PLATFORM)
        kubernetes = self.sandbox.kubernetes
        kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "legacy"}})
        self.before = others(self.sandbox, self.bench.teams)

    def teardown(self) -> None:
        self.bench.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    @rule(
        singles=st.lists(st.sampled_from(TEAMS), max_size=2),
        batches=st.integers(0, 2),
        by_hand=st.lists(st.tuples(st.sampled_from(BY_HAND), st.sampled_from(TEAMS)), max_size=4),
        data=st.data(),
    )
    def at_once(
        self,
        singles: list[str],
        batches: int,
        by_hand: list[tuple[Callable[[Bench, str], None], str]],
        data: st.DataObject,
    ) -> None:
        order = data.draw(st.randoms(use_true_random=False))
        interleaving = Interleaving(order.randrange)
        procedures: dict[str, Callable[[], object]] = {}
        for number, team in enumerate(singles):
            procedures[f"run {number} for {team}"] = partial(self._one, interleaving, team)
        for number in range(batches):
            procedures[f"batch {number}"] = lambda: self._batch(interleaving)
        if by_hand:
            procedures["by hand"] = lambda: self._change_by_hand(interleaving, by_hand)
        errors = interleaving.run(procedures)
        type(self).runs += len(singles) + batches
        type(self).requests += len(interleaving.order)
        assert errors == {}
        assert interleaving.holders == {}
        self._settle(bool(by_hand), bool(batches) or set(singles) == set(TEAMS))

    def _one(self, interleaving: Interleaving, name: str) -> None:
        with self.bench.process() as systems:
            team = self.bench.team(name)
            _as_a_task(lambda: onboard(systems, team, lock=interleaving.lock([name])))

    def _batch(self, interleaving: Interleaving) -> None:
        with self.bench.process() as systems:
            left = {team.name for team in self.bench.teams}

            def bring() -> None:
                teams = [team for team in self.bench.teams if team.name in left]
                errors: list[BaseException] = []

                def finished(outcome: Any) -> None:
                    if outcome.error is None:
                        left.discard(outcome.team)
                    else:
                        errors.append(outcome.error)

                planned = plan_all(systems, teams)
                lock = interleaving.lock([each.team for each in planned if each.has_changes])
                onboard_many(systems, teams, planned, lock, finished)
                for error in errors:
                    raise error

            _as_a_task(bring)

    def _change_by_hand(self, interleaving: Interleaving, by_hand: list[Any]) -> None:
        for change, team in by_hand:
            interleaving.step()
            change(self.bench, team)

    def _settle(self, changed_by_hand: bool, all_onboarded: bool) -> None:
        """Assert that all is in sync; after manual changes, one more run of each team remediates them."""
        if changed_by_hand or not all_onboarded:
            for team in TEAMS:
                with self.bench.process() as systems:
                    _as_a_task(lambda: onboard(systems, self.bench.team(team)))  # noqa: B023
        assert_in_sync(self.bench)

    @invariant()
    def nothing_is_there_twice(self) -> None:
        robots = our_robots(self.sandbox, {team.project for team in self.bench.teams})
        assert max(robots.values(), default=1) == 1
        groups = [group.name for group in self.sandbox.harbor.groups.values()]
        assert len(groups) == len(set(groups))

    @invariant()
    def nothing_of_others_has_changed(self) -> None:
        assert others(self.sandbox, self.bench.teams) == self.before


def _as_a_task(work: Callable[[], object]) -> None:
    """Run a procedure, and retry it after a transient error as often as a task is."""
    for attempt in range(TRIES):
        try:
            work()
        except RETRIED:
            if attempt == TRIES - 1:
                raise
        else:
            return


@pytest.mark.demand(
    "robust",
    "a team twice at once, two batches at once, manual changes in between: "
    "hypothesis chooses the order of requests",
    "runs",
    "requests",
)
def test_runs_beside_each_other_and_beside_manual_changes_leave_what_is_declared(
    whole: bool, record_property: Callable[[str, object], None]
) -> None:
    with FaultySandbox() as sandbox:
        ConcurrentRuns.sandbox = prepare(sandbox)
        ConcurrentRuns.empty = Snapshot(sandbox)
        run_state_machine_as_test(
            ConcurrentRuns,
            settings=settings(
                max_examples=40 if whole else 2,
                stateful_step_count=4 if whole else 2,
                # Two random walks of two steps may run nothing at all.
                derandomize=not whole,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink] if whole else [Phase.generate],
            ),
        )
    record_property("runs", ConcurrentRuns.runs)
    record_property("requests", ConcurrentRuns.requests)
    assert ConcurrentRuns.runs > 0


# --- The order itself ----------------------------------------------------------------------------


def test_the_same_choices_give_the_same_order(bench: Bench) -> None:
    bench.declare(SHOP)
    start = Snapshot(bench.sandbox)

    def orders() -> list[str]:
        start.restore()
        turn = iter(range(10_000))
        interleaving = Interleaving(lambda able: next(turn) % able)

        def run() -> None:
            with bench.process() as systems:
                _as_a_task(lambda: onboard(systems, bench.team(), lock=interleaving.lock(["shop"])))

        assert interleaving.run({"a": run, "b": run}) == {}
        return interleaving.order

    first = orders()
    assert len(first) > 60
    assert first == orders()
    assert_in_sync(bench)


def test_without_a_lock_two_runs_would_get_in_each_others_way(bench: Bench) -> None:
    """Without this, the state machine could not show that the lock has an effect."""
    bench.declare(SHOP)
    turn = iter(range(10_000))
    interleaving = Interleaving(lambda able: next(turn) % able)

    def run() -> None:
        with bench.process() as systems:
            onboard(systems, bench.team())

    errors = interleaving.run({"a": run, "b": run})
    assert any(isinstance(error, RETRIED) for error in errors.values())


def test_whoever_waits_for_each_other_is_told() -> None:
    turn = iter([0, 1] * 50)
    interleaving = Interleaving(lambda able: next(turn) % able)

    def crossed(first: str, second: str) -> None:
        with interleaving.lock([first]):
            interleaving.step()
            with interleaving.lock([second]):
                pass

    both = {"a": lambda: crossed("x", "y"), "b": lambda: crossed("y", "x")}
    with pytest.raises(AssertionError, match="wait for each other"):
        interleaving.run(both)


# --- Values that are read once ---------------------------------------------------------------------------


def test_what_is_read_once_is_read_once_by_threads_that_begin_together(bench: Bench) -> None:
    def requests(threads: int) -> Counter[Any]:
        systems = bench.declare(SHOP).systems
        bench.sandbox.requests.reset()
        with ThreadPoolExecutor(threads) as pool:
            for read in (systems.harbor_client.info, systems.home_cluster.uid):
                asked = [pool.submit(read) for _ in range(threads)]
                assert len({str(each.result()) for each in asked}) == 1
        return bench.sandbox.requests.counts()

    bench.sandbox.controls.delay(0.05)
    alone = requests(1)

    assert alone
    assert requests(8) == alone
