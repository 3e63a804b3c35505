"""Everything that can happen to a team's robots, in any order: a state machine for hypothesis."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tenantry import drift
from tenantry.declared import Team
from tenantry.locks import Lock, NoLock
from tenantry.onboarding import onboard
from tenantry.rotation.pair import NotOnboarded
from tenantry.systems.systems import Systems
from tests.support.crash import MOMENTS, Snapshot
from tests.support.harness import Bench, Data
from tests.support.locks import Mutex
from tests.support.rotation_harness import logins, order, pairs_are_in_order, pass_time, robots, run
from tests.support.wire import Kill, Killed, Moment, Wire, no_delays, one_worker

OVERLAP = timedelta(hours=24)
LIFE = timedelta(days=30)
TEAM: Data = {
    "name": "shop",
    "further_namespaces": {"jobs": {}},
    "robots": {"pull": {"expiry_days": 30, "rotation": {"max_age_days": 20}}, "ci": None},
}
SECRET = "team-shop/harbor-pull"
Login = tuple[str, str]


def at_once(*works: Callable[[], object]) -> None:
    """Run these functions at the same time, and raise the first error."""
    errors: list[BaseException] = []

    def do(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 raised below
            errors.append(error)

    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class ManualChanges(RuleBasedStateMachine):
    """Onboarding, rotation, remediation of drift, crashes, passing time, and manual changes.

    Always, unless a robot or Secret was changed by hand: the published credential works, and the
    one that was published before works during its overlap. After one undisturbed run of each: all
    Secrets hold one working credential, and no robot is extra.
    """

    bench: Bench
    start: Snapshot

    def __init__(self) -> None:
        super().__init__()
        self.start.restore()
        self._changed_by_hand = False
        self._published: Login = ("", "")
        self._since = self._now
        self._served: dict[Login, datetime] = {}
        self._record()

    @property
    def _now(self) -> datetime:
        return self.bench.sandbox.clock.now()

    def _record(self) -> None:
        """Record the published credential, and until when the previous one must work."""
        found = logins(self.bench)[SECRET]
        if found != self._published:
            if self._published[0]:
                self._served[self._published] = min(self._now + OVERLAP, self._since + LIFE)
            self._published, self._since = found, self._now

    def _forget(self) -> None:
        """Forget the recorded credentials: it is unknown which of them work."""
        self._served.clear()
        self._published = ("", "")

    # What happens

    @rule(force=st.booleans())
    def rotate(self, force: bool) -> None:
        self._run(lambda: self._rotate(force=force))

    @rule(number=st.integers(1, 25), moment=st.sampled_from(MOMENTS), force=st.booleans())
    def rotate_and_die(self, number: int, moment: Moment, force: bool) -> None:
        self._die(lambda: self._rotate(force=force), number, moment)

    @rule()
    def compromised(self) -> None:
        self._run(lambda: self._rotate(compromised=True))
        self._forget()

    @rule(number=st.integers(1, 25), moment=st.sampled_from(MOMENTS))
    def compromised_and_die(self, number: int, moment: Moment) -> None:
        self._die(lambda: self._rotate(compromised=True), number, moment)
        self._changed_by_hand = True  # the old robots may be deleted before new ones exist

    @rule()
    def onboard(self) -> None:
        self._run(self._onboard)

    @rule(number=st.integers(1, 40), moment=st.sampled_from(MOMENTS))
    def onboard_and_die(self, number: int, moment: Moment) -> None:
        self._die(self._onboard, number, moment)

    @rule()
    def remediate(self) -> None:
        self._run(self._remediate)

    @rule(number=st.integers(1, 40), moment=st.sampled_from(MOMENTS))
    def remediate_and_die(self, number: int, moment: Moment) -> None:
        self._die(self._remediate, number, moment)

    @rule(force=st.booleans())
    def all_at_once(self, force: bool) -> None:
        lock = Mutex()
        self._run(
            lambda: at_once(
                lambda: self._rotate(lock, force=force),
                lambda: self._onboard(lock),
                lambda: self._remediate(lock),
                lambda: self._rotate(lock),
            )
        )

    @rule(hours=st.sampled_from([1, 6, 23, 24, 25, 48, 24 * 7, 24 * 15]))
    def time_passes(self, hours: int) -> None:
        pass_time(self.bench, hours=hours)

    @rule(name=st.sampled_from(["pull-a", "pull-b"]))
    def a_robots_secret_is_renewed(self, name: str) -> None:
        if robot := robots(self.bench).get(name):
            self.bench.systems.harbor_client.patch(f"/robots/{robot.id}", {})
        self._changed_by_hand = True

    @rule(name=st.sampled_from(["pull-a", "pull-b"]))
    def a_robot_is_disabled(self, name: str) -> None:
        if robot := robots(self.bench).get(name):
            robot.disabled = True
        self._changed_by_hand = True

    @rule(name=st.sampled_from(["pull-a", "pull-b"]))
    def a_robot_is_deleted(self, name: str) -> None:
        if robot := robots(self.bench).get(name):
            del self.bench.sandbox.harbor.robots[robot.id]
        self._changed_by_hand = True

    @rule(name=st.sampled_from(["pull-a", "pull-b"]))
    def a_robot_is_created(self, name: str) -> None:
        if name not in robots(self.bench):
            team = self.bench.team()
            issuer = self.bench.systems.credentials.issuer
            issuer.create(team, name, team.active_robots["pull"], "created")
        self._changed_by_hand = True

    @rule(namespace=st.sampled_from(["team-shop", "team-shop-jobs"]))
    def a_secret_is_deleted(self, namespace: str) -> None:
        if self.bench.sandbox.kubernetes.get("Secret", "harbor-pull", namespace):
            self.bench.sandbox.kubernetes.delete("Secret", "harbor-pull", namespace)
        self._changed_by_hand = True

    @rule(
        namespace=st.sampled_from(["team-shop", "team-shop-jobs"]),
        part=st.sampled_from(["data", "annotations"]),
    )
    def a_secret_is_emptied(self, namespace: str, part: str) -> None:
        kubernetes = self.bench.sandbox.kubernetes
        if held := kubernetes.get("Secret", "harbor-pull", namespace):
            changes: Data = {"data": {".dockerconfigjson": "e30="}}
            if part == "annotations":
                changes = {"metadata": {**held["metadata"], "annotations": {}}}
            kubernetes.put({**held, **changes})
        self._changed_by_hand = True

    @rule()
    def settle(self) -> None:
        """Run each once, undisturbed: this repairs all that was changed by hand."""
        self._run(self._onboard)
        self._run(self._rotate)
        pairs_are_in_order(self.bench)
        if self._changed_by_hand:
            self._forget()
            self._changed_by_hand = False
            self._record()

    # What always holds

    @invariant()
    def what_must_work_works(self) -> None:
        if self._changed_by_hand:
            return
        self._record()
        opens = self.bench.systems.harbor_client.accepts
        if self._now < self._since + LIFE:
            assert opens(*self._published), "the published credential does not work"
        for login, until in self._served.items():
            assert self._now >= until or opens(*login), f"{login[0]} was retired too early"

    def teardown(self) -> None:
        self.settle()

    # How it is done

    def _rotate(self, lock: Any = None, **asked: bool) -> None:
        with self.bench.process() as systems:
            given = order(self.bench, **asked)
            for outcome in run(self.bench, given, systems=systems, lock=lock).values():
                if outcome.error is not None and not self._is_gone(outcome.error):
                    raise outcome.error

    def _is_gone(self, error: Exception) -> bool:
        """Return whether the robots to rotate were deleted by hand."""
        return self._changed_by_hand and isinstance(error, NotOnboarded)

    def _onboard(self, lock: Any = None) -> None:
        with self.bench.process() as systems:
            onboard(systems, self.bench.team(), lock=lock)

    def _remediate(self, lock: Any = None) -> None:
        with self.bench.process(extras=True) as systems:
            remediate(systems, self.bench.teams, lock or NoLock())

    def _run(self, work: Callable[[], object]) -> None:
        with no_delays():
            work()

    def _die(self, work: Callable[[], object], number: int, moment: Moment) -> None:
        with no_delays(), one_worker():
            try:
                with Wire(Kill(number, moment)):
                    work()
            except Killed:
                pass


def remediate(systems: Systems, teams: Sequence[Team], lock: Lock) -> None:
    """Detect drift and remediate all of it; extras with our mark are removed."""
    detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))
    order = drift.Order("all")
    remedy = drift.choose(detected, order.remediate)
    for mended in drift.remediate_teams(systems, remedy, order, lock, approved=False):
        if mended.error is not None:
            raise mended.error


def machine(made: Bench) -> type[ManualChanges]:
    """Return the state machine on a bench; each of its runs starts from an onboarded team."""
    made.declare(TEAM).onboard()

    class OnBench(ManualChanges):
        bench = made
        start = Snapshot(made.sandbox)

    return OnBench
