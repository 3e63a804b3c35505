"""A run of drift detection: observe, detect, and remediate under the teams' locks.

The flow, the command line and the crash tests run this code. The caller decides how a step is run: in
a thread, or as a task with retries.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.drift.detect import Detected, detect
from tenantry.drift.findings import SYSTEMS, Finding, Report, SystemName
from tenantry.drift.observations import observe
from tenantry.drift.offboarded import find_unrevoked, offboarded_teams, unreadable
from tenantry.drift.remedy import Order, Remedy, choose
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.locks import Lock
from tenantry.outcomes import NotApproved
from tenantry.plan import Change, describe_owner
from tenantry.resources import Observed
from tenantry.systems.systems import Systems
from tenantry.text import logger
from tenantry.walk import Submit, accept_unread, apply_stages

T = TypeVar("T")
ROUNDS = 3
"""How often remediation is planned and approved while the systems change meanwhile."""
_log = logger(__name__)


def find_drift(
    systems: Systems,
    names: Sequence[str] | None = None,
    system_names: Sequence[SystemName] = SYSTEMS,
    *,
    submit: Submit | None = None,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    report_failure: Callable[[TenantryError], None] = lambda error: None,
    again: bool = False,
) -> Detected:
    """Observe the systems, and return their drift with its remediation. Nothing is changed.

    A system that cannot be read affects only its own findings.

    Args:
        systems: the systems. Undeclared resources are found only if they were connected with
            `extras=True`.
        names: the teams; all if not given. Resources that belong to no declared team are reported
            only for all teams.
        system_names: the systems to observe.
        submit: see `tenantry.drift.observations.observe`, also for the arguments after it.
        check_unread: called with the errors of unreadable parts.
        report_failure: called with the error of an unreadable system.
        again: whether it is a repeated observation of a run.

    Raises:
        DeclarationError: a name is not the name of a declared team.
    """
    teams = systems.state.pick(names)
    observed = observe(
        systems,
        teams,
        system_names,
        submit=submit,
        check_unread=check_unread,
        report_failure=report_failure,
        again=again,
    )
    detected = detect(systems, teams, observed, system_names, names=names)
    start = submit or _run_at_once
    found: list[Finding] = []
    for team in offboarded_teams(systems, names):
        work = partial(_find_unrevoked, systems, team, system_names, check_unread)
        try:
            found += start(f"observe offboarded team '{team.name}'", work).result()
        except TenantryError as error:
            report_failure(error)
            found.append(unreadable(systems, team, error))
    return detected.with_findings(found)


def _find_unrevoked(
    systems: Systems,
    team: Team,
    system_names: Sequence[SystemName],
    check_unread: Callable[[Iterable[TenantryError]], None],
    retry: bool,
) -> list[Finding]:
    return find_unrevoked(systems, team, system_names, check_unread)


def _run_at_once(name: str, work: Callable[[bool], T]) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(work(False))
    return future


def detect_drift(
    systems: Systems,
    names: Sequence[str] | None = None,
    system_names: Sequence[SystemName] = SYSTEMS,
) -> Report:
    """Observe the systems and return a report of their drift. Nothing is changed.

    Args:
        systems: the systems. Undeclared resources are found only if they were connected with
            `extras=True`.
        names: the teams; all if not given. Resources that belong to no declared team are reported
            only for all teams.
        system_names: the systems to observe.

    Raises:
        DeclarationError: a name is not the name of a declared team.
    """
    return find_drift(systems, names, system_names).report


@dataclass(frozen=True)
class Remediated:
    """The result of remediating one team, or the platform."""

    team: str
    """The team's name, or PLATFORM."""
    done: tuple[Change, ...] = ()
    """The changes that were made."""
    error: TenantryError | None = field(default=None, compare=False)
    """The error that stopped the remediation."""
    differs: bool = False
    """Whether the plan differs from the approved one, so that nothing was done."""

    @property
    def name(self) -> str:
        """The team or the platform, as messages name it."""
        return self.team or "the platform"

    def after(self, earlier: "Remediated") -> "Remediated":
        """Return this result combined with the result of an earlier attempt."""
        return replace(
            self, done=earlier.done + self.done, differs=self.differs and not earlier.done
        )

    def failed(self, error: TenantryError) -> "Remediated":
        """Return the result of an attempt that failed before the first change."""
        return Remediated(self.team, error=error)


class RemediateTeams(Protocol):
    """A function that remediates teams with `remediate_teams`, in parts or all at once."""

    def __call__(self, remedy: Remedy, order: Order, *, approved: bool) -> list[Remediated]:
        """Return the result for each team."""


@dataclass
class Remediation:
    """The result of remediation."""

    teams: list[Remediated] = field(default_factory=list)
    """The result for each team that had drift to remediate."""
    note: str = ""
    """The reason why not everything was done, if it is not an error."""
    error: TenantryError | None = None
    """The error, if nothing was done."""


def remediate(
    detected: Detected,
    order: Order,
    *,
    detect_again: Callable[[], Detected],
    remediate_teams: RemediateTeams,
    approve: Callable[[Remedy], bool] = lambda remedy: False,
) -> Remediation:
    """Choose the changes that remediate drift, request their approval, and apply them.

    If a team's plan has changed since its approval, it is skipped, and planned and approved again.

    Args:
        detected: the detected drift.
        order: the requested remediation.
        detect_again: detects the drift again.
        remediate_teams: applies the changes.
        approve: called with the changes. It returns True if a person has approved them, and False
            if they need no approval.

    Returns:
        The result for each team. Errors are part of it.
    """
    result = Remediation()
    if order.remediate == "none" and not order.remove:
        return result
    for _ in range(ROUNDS):
        try:
            remedy = choose(detected, order.remediate, order.remove)
        except TenantryError as error:  # the report is still published
            result.error = error
            return result
        if not remedy.plans:
            result.note = "" if result.teams else "There is nothing to remediate."
            return result
        try:
            approved = approve(remedy)
        except NotApproved as error:
            result.note = str(error)
            return result
        done = remediate_teams(remedy, order, approved=approved)
        result.teams += [each for each in done if not each.differs]
        differing = [each.name for each in done if each.differs]
        if not differing:
            return result
        _log.warning("Skipped, because the plan has changed: %s.", ", ".join(differing))
        detected = detect_again()
        known = {str(id) for id in detected.extras}
        order = Order(order.remediate, tuple(known.intersection(order.remove)), order.systems)
    result.note = f"The plan changed {ROUNDS} times during its approval. Run it again."
    return result


def remediate_teams(
    systems: Systems,
    remedy: Remedy,
    order: Order,
    lock: Lock,
    *,
    approved: bool,
    resumed: bool = False,
    finished: Callable[[Remediated], None] = lambda result: None,
) -> list[Remediated]:
    """Take the locks of some teams, observe and plan again, and apply the changes.

    Args:
        systems: the systems.
        remedy: the changes that were planned before.
        order: the requested remediation.
        lock: the lock of all these teams.
        approved: whether a person has approved the remedy. Then a team whose plan has changed is
            skipped.
        resumed: whether an earlier attempt may have applied some of the changes, so that fewer are
            left.
        finished: called with each team's result as soon as it is known, from several threads.

    Returns:
        The result for each team. A failure affects only its own team.

    Raises:
        TenantryError: the locks could not be taken, or the teams could not be observed. Nothing was
            changed.
    """
    with lock:
        teams = _teams_to_observe(systems, remedy.teams)
        observed = observe(systems, teams, order.systems)
        detected = detect(systems, teams, observed, order.systems)
        known = {str(id) for id in detected.extras}
        second = choose(detected, order.remediate, known.intersection(order.remove))

        def remediate_team(team: str) -> Remediated:
            first, now = remedy.of([team]), second.of([team])
            same = now.steps <= first.steps if resumed else now.hash == first.hash
            # A change that is missing from the second plan is made by now, or could not be planned.
            unread = observed.failure(team) if first.steps - now.steps else None
            if approved and not same:
                result = Remediated(team, error=unread, differs=unread is None)
            else:
                result = _remediate_team(systems, team, now, observed, lock)
                if result.error is None and unread is not None:
                    result = replace(result, error=unread)
            finished(result)
            return result

        return map_concurrently(remediate_team, remedy.teams)


def _teams_to_observe(systems: Systems, names: Sequence[str]) -> list[Team]:
    """Return the teams to observe: all teams, if one of the names is not a declared team's.

    Resources of undeclared teams are found only by observing all teams.
    """
    declared = systems.state.teams
    if all(name in declared for name in names):
        return [declared[name] for name in names]
    return list(declared.values())


def _remediate_team(
    systems: Systems, team: str, remedy: Remedy, observed: Observed, lock: Lock
) -> Remediated:
    done: list[Change] = []
    try:
        for plan in remedy.plans:
            apply_stages(systems, plan, observed, lock=lock, report=done.append)
    except Exception as error:  # noqa: BLE001 any error fails this one team only
        failure = as_tenantry_error(error, f"remediating {describe_owner(team)}")
        return Remediated(team, tuple(done), failure)
    return Remediated(team, tuple(done))
