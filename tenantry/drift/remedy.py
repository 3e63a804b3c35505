"""What remediation does about drift: which of the planner's changes it takes, and doing them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tenantry import explain
from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.drift.detect import Detected, detect
from tenantry.drift.findings import SYSTEMS, SystemName
from tenantry.drift.observations import observe
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.locks import Lock
from tenantry.plan import Change, Plan
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.systems import Systems
from tenantry.text import visible
from tenantry.walk import apply_stages

Remediate = Literal["none", "safe", "all"]


@dataclass(frozen=True)
class Order:
    """What remediation was ordered to do."""

    remediate: Remediate = "none"
    remove: tuple[str, ...] = ()
    systems: tuple[SystemName, ...] = SYSTEMS


@dataclass(frozen=True)
class Remedy:
    """What is to be done, team by team. It may hold secrets: what is shown of it is `rows`."""

    plans: tuple[Plan, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes."""
        return tuple(change for plan in self.plans for change in plan.changes)

    @property
    def removals(self) -> tuple[Change, ...]:
        """The changes that remove something."""
        return tuple(change for plan in self.plans for change in plan.removals)

    @property
    def teams(self) -> tuple[str, ...]:
        """Whose locks it takes, by name; PLATFORM if something is no team's."""
        return tuple(plan.team for plan in self.plans)

    @property
    def steps(self) -> frozenset[str]:
        """What is to be done, each as a line."""
        return frozenset(step for plan in self.plans for step in explain.steps(plan))

    @property
    def hash(self) -> str:
        """Differs whenever something else would be done."""
        return explain.plan_hash(self.steps)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The changes as rows of a table."""
        return [
            {"team": plan.team, **row} for plan in self.plans for row in explain.rows(plan.changes)
        ]

    def of(self, teams: Collection[str]) -> "Remedy":
        """The part that concerns these teams."""
        return Remedy(tuple(plan for plan in self.plans if plan.team in teams))


def choose(detected: Detected, remediate: Remediate, remove: Collection[str] = ()) -> Remedy:
    """What remediation takes of what was found.

    Args:
        detected: what was found.
        remediate: `none`; `safe` creates and updates what is ours; `all` also takes over what
            the declared state says to adopt, and removes extras that carry our mark.
        remove: ids of further extras to remove, marked or not, as the report has them.

    Raises:
        TenantryError: an id in `remove` is no extra, or one that is not removed here.
    """
    named = set(_named(detected, remove))
    asked = detected.report.scope.systems
    shared: set[Id] = set()
    plans: dict[str, list[Change]] = {}
    for plan in detected.plans.values():
        taken = [c for c in plan.changes if c.id.system in asked and _takes(c, remediate)]
        taken = [c for c in taken if not (c.resource.cluster_wide and c.id in shared)]
        shared |= {change.id for change in taken if change.resource.cluster_wide}
        if not _is_whole(detected, plan, taken):
            taken = [change for change in taken if change.stage != "Mark as applied"]
        plans[plan.team] = taken
    for id, live in detected.extras.items():
        marked = remediate == "all" and live.marked and id.kind.removable
        if (marked and id not in detected.retired) or id in named:
            plans.setdefault(live.team or PLATFORM, []).append(_removal(id, live))
    return Remedy(tuple(Plan(team, tuple(taken)) for team, taken in plans.items() if taken))


def _named(detected: Detected, remove: Collection[str]) -> Iterator[Id]:
    known: dict[str, Id] = {}
    ambiguous = set()
    for id in detected.extras:
        shown = visible(str(id))  # as the report has it
        if shown in known:
            ambiguous.add(shown)
        known[shown] = id
    for text in map(visible, remove):
        if text in ambiguous:
            raise TenantryError(
                f"'{text}' stands for two extras, whose names differ in invisible characters only. "
                "Remove the right one by hand. Nothing was changed."
            )
        if text not in known:
            found = ", ".join(f"'{shown}'" for shown in list(known)[:10]) or "none"
            raise TenantryError(
                f"'{text}', which is to be removed, is no extra of this look. Extras: {found}. "
                "Nothing was changed."
            )
        if not known[text].kind.removable:
            raise TenantryError(
                f"'{text}' is not removed here: it holds what is a team's. Nothing was changed."
            )
        yield known[text]


def _takes(change: Change, remediate: Remediate) -> bool:
    if change.action == "delete":
        return False  # extras, all of them, are told of apart from the plan
    return remediate == "all" or (remediate == "safe" and not change.adopts)


def _is_whole(detected: Detected, plan: Plan, taken: Sequence[Change]) -> bool:
    """Whether all that there is to do for a team is done: only then is it as it is declared."""
    wanted = {change.id for change in plan.changes if change.action != "delete"}
    others = {c.id for c in plan.changes if c.resource.cluster_wide}
    read = detected.observed.failure(plan.team) is None
    return read and wanted - others <= {change.id for change in taken}


def _removal(id: Id, live: Live) -> Change:
    return Change("delete", Resource(id, {}), (), live)


@dataclass(frozen=True)
class Mended:
    """What became of one team."""

    team: str
    done: tuple[Change, ...] = ()
    error: TenantryError | None = field(default=None, compare=False)
    """What stopped it."""
    differs: bool = False
    """Whether there was something else to do than was approved: nothing was done."""


def mend(
    systems: Systems,
    remedy: Remedy,
    order: Order,
    lock: Lock,
    *,
    approved: bool,
    resumed: bool = False,
) -> list[Mended]:
    """Does what is to be done for some teams, after a second look under their locks.

    Args:
        systems: the systems.
        remedy: what is to be done after the first look.
        order: what was ordered.
        lock: the locks of all these teams.
        approved: whether a person has approved the remedy: then a team for which there is
            something else to do by now is left alone.
        resumed: whether part of it may be done already: then there may be less to do.

    Returns:
        What became of each team; one's failure is its own.

    Raises:
        TenantryError: the locks could not be taken, or the teams not be looked at: nothing was
            done.
    """
    with lock:
        teams = _to_look_at(systems, remedy.teams)
        seen = observe(systems, teams, order.systems)
        detected = detect(systems, teams, seen, order.systems)
        there = {str(id) for id in detected.extras}
        second = choose(detected, order.remediate, there.intersection(order.remove))

        def bring(team: str) -> Mended:
            first, now = remedy.of([team]), second.of([team])
            same = now.steps <= first.steps if resumed else now.hash == first.hash
            if approved and not same:
                return Mended(team, differs=True)
            return _bring(systems, team, now, seen, lock)

        return map_concurrently(bring, remedy.teams)


def _to_look_at(systems: Systems, names: Sequence[str]) -> list[Team]:
    """What is no declared team's is seen by a look at all of them only."""
    declared = systems.state.teams
    if all(name in declared for name in names):
        return [declared[name] for name in names]
    return list(declared.values())


def _bring(systems: Systems, team: str, remedy: Remedy, seen: Observed, lock: Lock) -> Mended:
    done: list[Change] = []
    try:
        for plan in remedy.plans:
            apply_stages(systems, plan, seen, lock=lock, report=done.append)
    except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
        work = f"remediating team '{team}'" if team else "remediating the platform"
        return Mended(team, tuple(done), as_tenantry_error(error, work))
    return Mended(team, tuple(done))
