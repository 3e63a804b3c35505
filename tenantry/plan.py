"""A plan: the ordered changes of one team, or of the platform.

A plan is a value: it can be shown, counted and compared, and does nothing. `planner.py` makes it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.errors import NotOurs, SystemRefused, TenantryError
from tenantry.kinds import Kind, Removal, Stage
from tenantry.resources import MARK_PREFIXES, PLATFORM, Difference, Id, Live, Resource

Owner = Team | Platform
"""The owner of a plan. The plan of the platform has the name PLATFORM."""

Action = Literal["create", "adopt", "update", "replace", "delete"]
"""What a change does. `adopt` marks an object that Tenantry did not create as its own, and updates its
declared fields in the same change."""

MARKED = Difference("mark", None, "tenantry")
"""The difference of an adopted object, in place of those of the single labels and annotations."""


@dataclass(frozen=True)
class Change:
    """An action on one resource."""

    action: Action
    resource: Resource
    differences: tuple[Difference, ...]
    live: Live | None = None
    """The object as it was observed; None if it did not exist."""

    @property
    def id(self) -> Id:
        """The id of the resource."""
        return self.resource.id

    @property
    def stage(self) -> Stage:
        """The stage that makes the change."""
        if self.action == "delete":
            return self.id.kind.deletion_stage or self.resource.stage
        return self.resource.stage

    @property
    def recreates(self) -> bool:
        """Whether the object is deleted and created again, since the system does not change one of
        the differing fields in place."""
        is_changed = self.action == "adopt" and is_immutable(self.resource, self.differences)
        return self.action == "replace" or is_changed

    @property
    def retires(self) -> bool:
        """Whether it makes a resource that is no longer declared stop working."""
        retired = self.id.kind.retired_fields
        return self.action == "update" and bool(retired) and self.resource.fields == retired

    @property
    def writes_only_marks(self) -> bool:
        """Whether the change writes only Tenantry's marks and records."""
        fields = list(beyond_marks(self.id.kind, self.differences))
        is_written = self.action in ("adopt", "update")
        return self.id.kind.is_record or (is_written and fields in ([], [MARKED]))


def unknown_kind(change: Change) -> TenantryError:
    """Return the error for a change of a kind that the code which applies it does not handle."""
    return SystemRefused(
        change.id.system,
        f"{change.action} {change.id}",
        f"Tenantry cannot {change.action} resources of the kind '{change.id.kind}'",
    )


@dataclass(frozen=True)
class Refusal:
    """A resource that Tenantry must not change: an object of its name exists that is not ours."""

    id: Id
    reason: str
    differences: tuple[Difference, ...] = ()
    """The declared fields in which the object differs."""


@dataclass(frozen=True)
class Left:
    """A resource of Tenantry that is no longer declared, and that the plan does not delete."""

    id: Id
    reason: str
    """Why it is still there, and how it is deleted."""
    removal: Removal
    """What happens to it."""


@dataclass(frozen=True)
class Plan:
    """The changes for one team, or for the platform, in order."""

    team: str
    """The team's name, or PLATFORM."""
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    waiting: tuple[Refusal, ...] = ()
    """Resources that cannot be created yet, and what they wait for; a later run creates them."""
    withheld: tuple[Change, ...] = ()
    """The differences within an object that must not be changed; in a partial plan only."""
    left: tuple[Left, ...] = ()
    """The resources that are no longer declared, and are not deleted by the plan."""

    @property
    def is_of_platform(self) -> bool:
        """Whether it is the plan of the platform."""
        return self.team == PLATFORM

    @property
    def is_empty(self) -> bool:
        """Whether the plan has neither changes nor refusals."""
        return not (self.changes or self.refusals)

    @property
    def only_adopts(self) -> bool:
        """Whether the changes adopt objects and write marks, and change nothing else."""
        changes = [c for c in self.changes if c.action != "adopt" and not c.writes_only_marks]
        return not changes and not self.refusals

    @property
    def removals(self) -> tuple[Change, ...]:
        """The deletions, and the changes that make a resource stop working."""
        return tuple(c for c in self.changes if c.action == "delete" or c.retires)

    def in_stage(self, stage: Stage) -> list[Change]:
        """Return the changes of one stage, in order."""
        return [change for change in self.changes if change.stage == stage]


def refuse(plan: Plan) -> None:
    """Raise an error if a plan has refusals.

    Raises:
        NotOurs: something is in the way that Tenantry did not make.
    """
    if plan.refusals:
        first = plan.refusals[0]
        text = "; ".join(f"{refusal.id}: {refusal.reason}" for refusal in plan.refusals)
        raise NotOurs(first.id.system, describe_owner(plan.team), text)


def describe_owner(team: str) -> str:
    """Return the owner of a plan for messages, such as "team 'shop'"."""
    return "the platform" if team == PLATFORM else f"team '{team}'"


def beyond_marks(kind: Kind, found: Iterable[Difference]) -> Iterator[Difference]:
    """Yield the differences other than the marks: an object that is not ours has none."""
    for difference in found:
        is_mark = any(mark in difference.field for mark in MARK_PREFIXES)
        if not is_mark and difference.field not in kind.mark_fields:
            yield difference


def is_immutable(resource: Resource, found: Iterable[Difference]) -> bool:
    """Return whether one of the differing fields cannot be changed in place."""
    immutable = resource.id.kind.immutable_fields
    return any(difference.field.split(".")[0] in immutable for difference in found)
