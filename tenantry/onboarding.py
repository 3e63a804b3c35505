"""Onboarding without a scheduler: look, plan, apply, for one team or for many.

The Prefect flows do the same walk with a task for each part; this is what they
call, and what the command line and the tests of the core use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tenantry.declared import Team
from tenantry.errors import NotOurs, TenantryError
from tenantry.plan import Change, Plan
from tenantry.resources import Id, Observed
from tenantry.systems import Systems


@dataclass(frozen=True)
class Outcome:
    """What became of one team."""

    team: str
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


def refuse(plan: Plan) -> None:
    """Raises what a plan's refusals say.

    Raises:
        NotOurs: something is in the way that Tenantry did not make.
    """
    if plan.refusals:
        first = plan.refusals[0]
        text = "; ".join(f"{refusal.id}: {refusal.reason}" for refusal in plan.refusals)
        raise NotOurs(first.id.system, f"team '{plan.team}'", text)


def onboard(
    systems: Systems,
    team: Team,
    planned: tuple[Observed, Plan] | None = None,
    report: Callable[[Change], None] = lambda change: None,
) -> Outcome:
    """Brings one team to what is declared.

    What may be done is done, also where something else is refused.

    Args:
        systems: the systems.
        team: the team.
        planned: what was seen of it, and the plan made from that; it is looked at and planned
            if not given.
        report: is told of each change when it is made.

    Raises:
        TenantryError: a call failed, or something that is not ours is in the way.
            Running again goes on from there.
    """
    if planned is None:
        seen = systems.observe([team])
        plan = systems.plan(team, seen)
    else:
        seen, plan = planned
    done: list[Change] = []

    def keep(change: Change) -> None:
        done.append(change)
        report(change)

    systems.apply(plan, seen, report=keep)
    refuse(plan)
    return Outcome(team.name, plan, tuple(done))


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
        except TenantryError as error:
            outcomes.append(Outcome(team.name, error=error))
            continue
        own = tuple(change for change in plan.changes if change.id not in shared)
        shared |= {change.id for change in own if change.resource.shared}
        outcomes.append(Outcome(team.name, replace(plan, changes=own)))
    return outcomes
