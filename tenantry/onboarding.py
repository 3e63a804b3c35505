"""Onboarding teams, one or many, and configuring the platform."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.errors import NotOurs, as_tenantry_error
from tenantry.locks import Lock
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan, describe_owner, refuse
from tenantry.resources import PLATFORM, Id, Observed
from tenantry.systems.adapter import Owner
from tenantry.systems.systems import Systems
from tenantry.walk import Walk, apply_stages


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
) -> None:
    """Brings teams to what is declared, many at once; one's failure is its own.

    If there is something to write, the lock of all is taken, and the teams with changes are
    looked at and planned again, all at once.

    Args:
        systems: the systems.
        teams: the teams.
        planned: the plan of each, in the same order.
        lock: keeps others off all these teams.
        finished: is told what became of each team as soon as it is known, from many threads.

    Raises:
        TenantryError: the lock could not be taken. Of the teams whose outcome was not told,
            none was written.
    """
    again: list[Team] = []
    for team, outcome in zip(teams, planned, strict=True):
        if outcome.has_changes:
            again.append(team)
        else:
            finished(_refused(outcome))
    if not again:
        return
    plans = {outcome.team: outcome.plan for outcome in planned}
    with lock:
        seen = systems.observe(again)
        work = zip(again, plan_all(systems, again, seen), strict=True)

        def bring(pair: tuple[Team, Outcome]) -> None:
            team, outcome = pair
            first = plans[team.name]
            if outcome.plan is None:  # it stays a team with changes, which another try looks at
                finished(replace(outcome, plan=first))
            else:
                finished(_bring(systems, _without_others(outcome, first), seen, lock))

        map_concurrently(bring, work)


def _without_others(outcome: Outcome, first: Plan | None) -> Outcome:
    """A plan without what the first look gave to another team: what the teams share is made once."""
    if outcome.plan is None or first is None:
        return outcome
    ours = {change.id for change in first.changes}
    own = [c for c in outcome.plan.changes if not c.resource.cluster_wide or c.id in ours]
    return replace(outcome, plan=replace(outcome.plan, changes=tuple(own)))


def _bring(systems: Systems, outcome: Outcome, seen: Observed, lock: Lock) -> Outcome:
    done: list[Change] = []
    assert outcome.plan is not None
    error = None
    try:
        apply_stages(systems, outcome.plan, seen, lock=lock, report=done.append)
        refuse(outcome.plan)
    except Exception as failure:  # noqa: BLE001 one team's failure, whatever it is
        error = as_tenantry_error(failure, f"onboarding {describe_owner(outcome.team)}")
    return replace(outcome, done=tuple(done), error=error)


def _refused(outcome: Outcome) -> Outcome:
    """The end of a team that has nothing to write."""
    try:
        if outcome.plan is not None:
            refuse(outcome.plan)
    except NotOurs as error:
        return replace(outcome, error=error)
    return outcome


def plan_all(
    systems: Systems, teams: Sequence[Team], observed: Observed | None = None
) -> list[Outcome]:
    """Plans all teams; a team that can't be read says why.

    What the teams share is in the first plan only.

    Args:
        systems: the systems.
        teams: the teams.
        observed: what was seen of them; they are looked at, all at once, if not given.
    """
    seen = systems.observe(teams) if observed is None else observed
    outcomes = []
    shared: set[Id] = set()
    for team in teams:
        try:
            plan = systems.plan(team, seen)
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            failure = as_tenantry_error(error, f"planning team '{team.name}'")
            outcomes.append(Outcome(team.name, error=failure))
            continue
        own = tuple(change for change in plan.changes if change.id not in shared)
        shared |= {change.id for change in own if change.resource.cluster_wide}
        outcomes.append(Outcome(team.name, replace(plan, changes=own)))
    return outcomes
