"""Remediation of drift: selects the planner's changes to apply, and applies them."""

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
    """The requested remediation."""

    remediate: Remediate = "none"
    remove: tuple[str, ...] = ()
    systems: tuple[SystemName, ...] = SYSTEMS


@dataclass(frozen=True)
class Remedy:
    """The selected changes by team. It may contain secrets; only `rows` may be shown."""

    plans: tuple[Plan, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """All selected changes."""
        return tuple(change for plan in self.plans for change in plan.changes)

    @property
    def removals(self) -> tuple[Change, ...]:
        """The changes that delete a resource."""
        return tuple(change for plan in self.plans for change in plan.removals)

    @property
    def teams(self) -> tuple[str, ...]:
        """The names of the teams whose locks it needs; PLATFORM for resources of no team."""
        return tuple(plan.team for plan in self.plans)

    @property
    def steps(self) -> frozenset[str]:
        """The changes, one line each."""
        return frozenset(step for plan in self.plans for step in explain.steps(plan))

    @property
    def hash(self) -> str:
        """A hash of the changes."""
        return explain.plan_hash(self.steps)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The changes as rows of a table."""
        return [
            {"team": plan.team, **row} for plan in self.plans for row in explain.rows(plan.changes)
        ]

    def of(self, teams: Collection[str]) -> "Remedy":
        """Return the part for the given teams."""
        return Remedy(tuple(plan for plan in self.plans if plan.team in teams))


def choose(detected: Detected, remediate: Remediate, remove: Collection[str] = ()) -> Remedy:
    """Return the changes that remediation would apply.

    Args:
        detected: the detected drift.
        remediate: `none`; `safe` creates and updates Tenantry's own resources; `all` also adopts
            resources where the declared state allows it, and deletes extras with Tenantry's mark.
        remove: ids of further extras to delete, with or without the mark, as in the report.

    Raises:
        TenantryError: an id in `remove` is not an extra, or cannot be deleted by remediation.
    """
    named = set(_named(detected, remove))
    asked = detected.report.scope.systems
    shared: set[Id] = set()
    plans: dict[str, list[Change]] = {}
    for full in detected.plans.values():
        cautious = remediate == "safe"
        plan = detected.without_adoption.get(full.team, full) if cautious else full
        taken = [c for c in plan.changes if c.id.system in asked and _takes(c, remediate)]
        taken = [c for c in taken if c.id not in detected.extras]  # selected below
        taken = [c for c in taken if not (c.resource.cluster_wide and c.id in shared)]
        shared |= {change.id for change in taken if change.resource.cluster_wide}
        if not _is_whole(detected, plan, taken):
            taken = [change for change in taken if change.stage != "Mark as applied"]
        plans[plan.team] = taken
    for id, live in detected.extras.items():
        marked = remediate == "all" and live.marked and id.kind.is_removed_unasked
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
                f"'{text}' matches two extras whose names differ only in invisible characters. "
                "Delete the right one by hand. Nothing was changed."
            )
        if text not in known:
            found = ", ".join(f"'{shown}'" for shown in list(known)[:10]) or "none"
            raise TenantryError(
                f"Cannot remove '{text}': it is not among the extras that this run has found "
                f"({found}). Nothing was changed."
            )
        if not known[text].kind.is_removable:
            raise TenantryError(
                f"Cannot remove '{text}': it contains resources of a team. Delete it by hand. "
                "Nothing was changed."
            )
        yield known[text]


def _takes(change: Change, remediate: Remediate) -> bool:
    if change.action == "delete":
        return False  # extras are selected separately
    return remediate in ("safe", "all")


def _is_whole(detected: Detected, plan: Plan, taken: Sequence[Change]) -> bool:
    """Return whether the selected changes bring a team completely in sync."""
    wanted = {change.id for change in plan.changes if change.action != "delete"}
    wanted -= detected.extras.keys()
    others = {c.id for c in plan.changes if c.resource.cluster_wide}
    read = detected.observed.failure(plan.team) is None
    return read and wanted - others <= {change.id for change in taken}


def _removal(id: Id, live: Live) -> Change:
    return Change("delete", Resource(id, {}), (), live)
