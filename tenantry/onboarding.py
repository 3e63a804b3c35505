"""Onboarding teams, one or many, and configuring the platform."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.errors import NotOurs, TenantryError, as_tenantry_error
from tenantry.locks import Lock
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan, describe_owner, refuse
from tenantry.resources import PLATFORM, Id, Observed
from tenantry.systems.adapter import Owner
from tenantry.systems.systems import Systems
from tenantry.walk import (
    Step,
    Walk,
    accept_unread,
    apply_stages,
    observe_owners,
    run_directly,
)


def onboard(
    systems: Systems,
    team: Team,
    lock: Lock | None = None,
    report: Callable[[Change], None] = lambda change: None,
) -> Outcome:
    """Bring one team to its declared state.

    What may be done is done, also where something else is refused.

    Args:
        systems: the systems.
        team: the team.
        lock: keeps other processes from changing the team. Without one, no other process may be at
            work on it.
        report: called after each change.

    Raises:
        TenantryError: a call failed, the lock was lost, or something that is not ours is in
            the way. Running again goes on from there.
    """
    return _complete(Walk(systems, team, report=report), lock)


def configure(
    systems: Systems,
    lock: Lock | None = None,
    report: Callable[[Change], None] = lambda change: None,
) -> Outcome:
    """Bring the platform to its declared state, as `onboard` does a team.

    Raises:
        TenantryError: as for `onboard`.
    """
    return _complete(Walk(systems, systems.state.platform, report=report), lock)


def _complete(walk: Walk[Owner], lock: Lock | None) -> Outcome:
    walk.plan()
    outcome = walk.apply(lock)
    refuse(walk.planned)
    return outcome


def plan_platform(systems: Systems) -> Outcome:
    """Return the plan of the platform; if it can't be read, the outcome says why."""
    try:
        return Outcome(PLATFORM, Walk(systems, systems.state.platform).plan())
    except Exception as error:  # noqa: BLE001 the platform's failure, whatever it is
        return Outcome(PLATFORM, error=as_tenantry_error(error, "planning the platform"))


def onboard_many(
    systems: Systems,
    teams: Sequence[Team],
    planned: Sequence[Outcome],
    lock: Lock,
    finished: Callable[[Outcome], None] = lambda outcome: None,
    confirm: Callable[[Plan], None] = lambda plan: None,
) -> None:
    """Bring teams to their declared state, many at once. One team's failure does not affect the others.

    If there are changes, the lock is taken, and the teams with changes are observed and planned again,
    all at once.

    Args:
        systems: the systems.
        teams: the teams.
        planned: the plan of each team, in the same order.
        lock: keeps other processes from changing these teams.
        finished: called with each team's outcome as soon as it is known, from many threads.
        confirm: called with each team's final plan before its first change. If it raises, nothing is
            changed for that team, and its outcome has the error.

    Raises:
        TenantryError: the lock could not be taken. Teams for which `finished` was not called were not
            changed.
    """
    again: list[Team] = []
    for team, outcome in zip(teams, planned, strict=True):
        if outcome.has_changes:
            again.append(team)
        else:
            finished(_check_refusals(outcome))
    if not again:
        return
    plans = {outcome.team: outcome.plan for outcome in planned}
    with lock:
        observed = observe_owners(systems.team_adapters, again)
        work = zip(again, plan_all(systems, again, observed), strict=True)

        def onboard_one(pair: tuple[Team, Outcome]) -> None:
            team, outcome = pair
            first = plans[team.name]
            if outcome.plan is None:  # it keeps its changes, so that another try observes it
                finished(replace(outcome, plan=first))
            else:
                own = _without_shared_of_others(outcome, first)
                finished(_apply(systems, own, observed, lock, confirm))

        map_concurrently(onboard_one, work)


def _without_shared_of_others(outcome: Outcome, first: Plan | None) -> Outcome:
    """Return a plan without the shared resources that the first plan gave to another team."""
    if outcome.plan is None or first is None:
        return outcome
    ours = {change.id for change in first.changes}
    own = [c for c in outcome.plan.changes if not c.resource.cluster_wide or c.id in ours]
    return replace(outcome, plan=replace(outcome.plan, changes=tuple(own)))


def _apply(
    systems: Systems,
    outcome: Outcome,
    observed: Observed,
    lock: Lock,
    confirm: Callable[[Plan], None],
) -> Outcome:
    done: list[Change] = []
    assert outcome.plan is not None
    error = None
    try:
        confirm(outcome.plan)
        apply_stages(systems, outcome.plan, observed, lock=lock, report=done.append)
        refuse(outcome.plan)
    except Exception as failure:  # noqa: BLE001 one team's failure, whatever it is
        error = as_tenantry_error(failure, f"onboarding {describe_owner(outcome.team)}")
    return replace(outcome, done=tuple(done), error=error)


def _check_refusals(outcome: Outcome) -> Outcome:
    """Return the outcome of a team without changes, failed if its plan has refusals."""
    try:
        if outcome.plan is not None:
            refuse(outcome.plan)
    except NotOurs as error:
        return replace(outcome, error=error)
    return outcome


def plan_all(
    systems: Systems,
    teams: Sequence[Team],
    observed: Observed | None = None,
    *,
    step: Step = run_directly,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
) -> list[Outcome]:
    """Return the plan of each team; if a team can't be read, its outcome says why.

    A resource that teams share is in the first plan only.

    Args:
        systems: the systems.
        teams: the teams.
        observed: their observed state; all teams are observed at once if not given.
        step: runs a step of the observation.
        check_unread: see `tenantry.walk.observe_owners`.
    """
    if observed is None:
        observed = observe_owners(systems.team_adapters, teams, step, check_unread)
    outcomes = []
    shared: set[Id] = set()
    for team in teams:
        try:
            plan = systems.plan(team, observed)
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            failure = as_tenantry_error(error, f"planning team '{team.name}'")
            outcomes.append(Outcome(team.name, error=failure))
            continue
        own = tuple(change for change in plan.changes if change.id not in shared)
        shared |= {change.id for change in own if change.resource.cluster_wide}
        outcomes.append(Outcome(team.name, replace(plan, changes=own)))
    return outcomes
