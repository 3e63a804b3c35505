"""Onboarding without a scheduler: look, plan, apply, for one team or for many, or the platform.

The Prefect flows do the same walk with a task for each part; this is what they
call, and what the command line and the tests of the core use.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from tenantry.calls import map_concurrently
from tenantry.declared import Declaration, Team
from tenantry.errors import DeclarationError, NotOurs, TenantryError, as_tenantry_error
from tenantry.kinds import STAGES, Stage
from tenantry.locks import Lock
from tenantry.plan import Change, Owner, Plan
from tenantry.resources import PLATFORM, Id, Observed
from tenantry.systems.systems import Systems


@dataclass(frozen=True)
class Outcome:
    """What became of one team, or of the platform."""

    team: str
    """The team's name, or PLATFORM."""
    plan: Plan | None = None
    """What was planned; None if the team could not be read."""
    done: tuple[Change, ...] = ()
    """The changes that were made."""
    error: TenantryError | None = field(default=None, compare=False)
    """What stopped it."""

    @property
    def is_done(self) -> bool:
        """Whether the team is as declared, but for what it waits for."""
        return self.error is None

    @property
    def has_changes(self) -> bool:
        """Whether there is something to write."""
        return self.plan is not None and bool(self.plan.changes)


def refuse(plan: Plan) -> None:
    """Raises what a plan's refusals say.

    Raises:
        NotOurs: something is in the way that Tenantry did not make.
    """
    if plan.refusals:
        first = plan.refusals[0]
        text = "; ".join(f"{refusal.id}: {refusal.reason}" for refusal in plan.refusals)
        raise NotOurs(first.id.system, told(plan.team), text)


def told(team: str) -> str:
    """Whose plan it is, as a message says it."""
    return "the platform" if team == PLATFORM else f"team '{team}'"


def apply(
    systems: Systems,
    plan: Plan,
    observed: Observed,
    stages: Sequence[Stage] = STAGES,
    lock: Lock | None = None,
    report: Callable[[Change], None] = lambda change: None,
) -> None:
    """Carries out the changes of these stages, and stops before the next one if the lock is lost.

    Raises:
        TenantryError: a change failed, or the lock was lost; what came before is done.
    """
    check = lock.check if lock else lambda: None

    def made(change: Change) -> None:
        report(change)
        check()

    check()
    systems.apply(plan, observed, stages, made)


def onboard(
    systems: Systems,
    team: Team,
    planned: tuple[Observed, Plan] | None = None,
    report: Callable[[Change], None] = lambda change: None,
    lock: Lock | None = None,
) -> Outcome:
    """Brings one team to what is declared.

    What may be done is done, also where something else is refused.

    Args:
        systems: the systems.
        team: the team.
        planned: what was seen of it, and the plan made from that; it is looked at and planned
            if not given.
        report: is told of each change when it is made.
        lock: keeps others off the team. It is taken only if there is something to write; the
            team is then looked at and planned again. Without one, nobody else may be at work
            on the team, and what was planned is done.

    Raises:
        TenantryError: a call failed, the lock was lost, or something that is not ours is in
            the way. Running again goes on from there.
    """
    return _bring_alone(systems, team, planned, report, lock)


def configure(
    systems: Systems,
    planned: tuple[Observed, Plan] | None = None,
    report: Callable[[Change], None] = lambda change: None,
    lock: Lock | None = None,
) -> Outcome:
    """Brings the platform to what is declared of it, as `onboard` does a team.

    Raises:
        TenantryError: as for `onboard`.
    """
    return _bring_alone(systems, systems.state.platform, planned, report, lock)


def _bring_alone(
    systems: Systems,
    owner: Owner,
    planned: tuple[Observed, Plan] | None,
    report: Callable[[Change], None],
    lock: Lock | None,
) -> Outcome:
    seen, plan = planned or _look(systems, owner)
    done: list[Change] = []

    def keep(change: Change) -> None:
        done.append(change)
        report(change)

    if lock is None:
        apply(systems, plan, seen, report=keep)
    elif plan.changes:
        with lock:
            seen, plan = _look(systems, owner)
            apply(systems, plan, seen, lock=lock, report=keep)
    refuse(plan)
    return Outcome(plan.team, plan, tuple(done))


def _look(systems: Systems, owner: Owner) -> tuple[Observed, Plan]:
    if isinstance(owner, Team):
        seen = systems.observe([owner])
        return seen, systems.plan(owner, seen)
    seen = systems.observe_platform()
    return seen, systems.plan_platform(seen)


def plan_platform(systems: Systems) -> Outcome:
    """Plans the platform; if it can't be read, the outcome says why."""
    try:
        return Outcome(PLATFORM, _look(systems, systems.state.platform)[1])
    except Exception as error:  # noqa: BLE001 the platform's failure, whatever it is
        return Outcome(PLATFORM, error=as_tenantry_error(error, "planning the platform"))


def left_out(state: Declaration, names: Iterable[str] | None) -> list[Outcome]:
    """Return an outcome for each faulty file of the declared state, with its faults.

    Args:
        state: the declared state.
        names: the teams that the run is about; all if not given.
    """
    asked = None if names is None else set(names)
    found = [
        Outcome(each.label, error=DeclarationError([f"{each.file} is left out:", *each.faults]))
        for each in state.left_out
        if asked is None or asked & set(each.names)
    ]
    if asked is None and state.other_faults:
        found.append(Outcome(PLATFORM, error=DeclarationError(list(state.other_faults))))
    return found


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
        apply(systems, outcome.plan, seen, lock=lock, report=done.append)
        refuse(outcome.plan)
    except Exception as failure:  # noqa: BLE001 one team's failure, whatever it is
        error = as_tenantry_error(failure, f"onboarding {told(outcome.team)}")
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
