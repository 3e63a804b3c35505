"""The walk of one owner: observe, plan, lock, observe again, apply.

The flows, the command line and the tests that interrupt it at every request run this code. How a step
is run is given: directly, or as a task that is tried again.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

from tenantry.declared import Platform, Team
from tenantry.errors import TenantryError
from tenantry.kinds import STAGES, Stage
from tenantry.locks import Lock
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import Observed
from tenantry.systems.adapter import Adapter, Owner
from tenantry.systems.systems import Systems, observe
from tenantry.text import logger

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_log = logger(__name__)
_NAMES: dict[Stage, str] = {"Clean up": "clean up", "Mark as applied": "mark as applied"}
"""Names of steps that are not named after a system."""


class Step(Protocol):
    """Runs a step of a walk."""

    def __call__(self, name: str, work: Callable[[bool], T], /) -> T:
        """Run a step and return its result.

        Args:
            name: the step's name, a verb and its object, such as `observe Harbor`.
            work: the step, called with whether this is a retry.

        Raises:
            TenantryError: the step failed.
        """


class Pending(Protocol[T_co]):
    """A step that was started, such as a future."""

    def result(self) -> T_co:
        """Wait for the step, and return its result.

        Raises:
            TenantryError: the step failed.
        """


class Submit(Protocol):
    """Starts a step that runs concurrently with others."""

    def __call__(self, name: str, work: Callable[[bool], T], /) -> Pending[T]:
        """Start a step, as `Step` runs it."""


def run_directly(name: str, work: Callable[[bool], T], /) -> T:
    """Run a step once, here and now."""
    return work(False)


def accept_unread(errors: Iterable[TenantryError]) -> None:
    """Continue with what could be read: the rest is recorded as unreadable."""


def observe_owners(
    adapters: Sequence[Adapter[Owner]],
    owners: Sequence[Owner],
    step: Step = run_directly,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
) -> Observed:
    """Return what the systems hold of these owners, one step for each adapter.

    Args:
        adapters: the adapters, in the order of observation.
        owners: the teams, or the platform alone.
        step: runs a step.
        check_unread: called in each step with the reasons why parts could not be read. If it raises,
            nothing of that step is kept, so that the step can be repeated.

    Raises:
        TenantryError: a system could not be read, or `check_unread` raised it.
    """
    observed = Observed()

    def observe_by(adapter: Adapter[Owner], retry: bool) -> None:
        seen = Observed()
        seen.add(observed)
        observe(adapter, owners, seen)
        new = (part for id, part in seen.unreadable.items() if id not in observed.unreadable)
        check_unread(part.error for part in new)
        observed.add(seen)

    for adapter in adapters:
        step(f"observe {adapter.name}", partial(observe_by, adapter))
    return observed


class Walk(Generic[Owner]):
    """The walk of one team, or of the platform. Call `plan`, then `apply`.

    Attributes:
        observed: what was observed last.
        planned: the plan that was made last.
    """

    def __init__(
        self,
        systems: Systems,
        owner: Owner,
        step: Step = run_directly,
        check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
        report: Callable[[Change], None] = lambda change: None,
    ) -> None:
        """
        Args:
            systems: the systems.
            owner: the team, or the platform.
            step: runs a step.
            check_unread: see `observe_owners`.
            report: called after each change.
        """
        self.systems = systems
        self.owner: Owner = owner
        self.observed = Observed()
        self.planned = Plan("")
        self._step = step
        self._check_unread = check_unread
        self._report = report
        self._done: list[Change] = []

    @property
    def _adapters(self) -> Sequence[Adapter[Owner]]:
        is_team = isinstance(self.owner, Team)
        adapters: Any = self.systems.team_adapters if is_team else self.systems.platform_adapters
        return cast(Sequence[Adapter[Owner]], adapters)

    def plan(self) -> Plan:
        """Observe the owner, and return the plan that brings it to its declared state.

        Raises:
            TenantryError: part of it could not be read.
        """
        self.observed = self.observe(self._step, self._check_unread)
        self.planned = self.make_plan()
        return self.planned

    def apply(
        self, lock: Lock | None = None, confirm: Callable[[Plan], None] = lambda plan: None
    ) -> Outcome:
        """Make the planned changes, and return what was done.

        If there are changes, the lock is taken, and the owner is observed and planned again. A step
        that is tried again does the same before it writes. What may be done is done, also where
        something else is refused.

        Args:
            lock: keeps other processes from changing the owner. Without one, no other process may be
                at work on it, and the plan is applied as it is.
            confirm: called with the final plan before the first change. If it raises, nothing is
                changed.

        Raises:
            TenantryError: a change failed, the lock was lost, or `confirm` raised it. Another walk
                does what is left.
        """
        if lock is None or not self.planned.changes:
            confirm(self.planned)
            self._apply_stages(lock)
        else:
            with lock:
                self._step("observe again, under the lock", self._observe_again)
                if not self.planned.changes:
                    _log.info("Another run has made the changes meanwhile: nothing is left to do.")
                confirm(self.planned)
                self._apply_stages(lock)
        return Outcome(self.planned.team, self.planned, tuple(self._done))

    def _apply_stages(self, lock: Lock | None) -> None:
        final = left = self.planned
        for stage in STAGES:
            if left.in_stage(stage):
                name = _NAMES.get(stage, f"apply {stage} changes")
                left = self._step(name, partial(self._apply_stage, stage, left, lock))
        self.planned = final

    def _apply_stage(self, stage: Stage, plan: Plan, lock: Lock | None, retry: bool) -> Plan:
        """Make the changes of a stage, and return the plan that the next stage follows.

        That is another one after a retry: another process may have had the lock meanwhile.
        """
        if retry:
            if lock is not None:
                lock.hold()
            self._observe_again(retry)
            plan = self.planned
        apply_stages(self.systems, plan, self.observed, [stage], lock, self._record)
        return plan

    def _observe_again(self, retry: bool) -> None:
        self.observed = self.observe()
        self.planned = self.make_plan()

    def observe(
        self,
        step: Step = run_directly,
        check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    ) -> Observed:
        """Return what the systems hold of the owner, with the arguments of `observe_owners`."""
        return observe_owners(self._adapters, [self.owner], step, check_unread)

    def make_plan(self) -> Plan:
        """Return the plan for what was observed last."""
        if isinstance(self.owner, Platform):
            return self.systems.plan_platform(self.observed)
        return self.systems.plan(self.owner, self.observed)

    def _record(self, change: Change) -> None:
        self._done.append(change)
        self._report(change)


def apply_stages(
    systems: Systems,
    plan: Plan,
    observed: Observed,
    stages: Sequence[Stage] = STAGES,
    lock: Lock | None = None,
    report: Callable[[Change], None] = lambda change: None,
) -> None:
    """Make the changes of these stages, and stop before the next one if the lock is lost.

    Raises:
        TenantryError: a change failed, or the lock was lost; the changes before it are made.
    """
    check = lock.check if lock else lambda: None

    def made(change: Change) -> None:
        report(change)
        check()

    check()
    systems.apply(plan, observed, stages, made)
