"""What remediation does about drift: which of the planner's changes it takes, and doing them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tenantry import explain
from tenantry.drift.detect import Detected
from tenantry.drift.findings import SYSTEMS, SystemName
from tenantry.errors import TenantryError
from tenantry.plan import Change, Plan
from tenantry.resources import PLATFORM, Id, Live, Resource
from tenantry.text import visible

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
