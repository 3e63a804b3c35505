"""The one planner: desired against observed gives an ordered list of changes.

A plan is a value: it can be shown, counted and compared, and does nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tenantry.declared.team import Team
from tenantry.resources import MARKS, STAGES, Difference, Id, Live, Observed, Resource, Stage, reach
from tenantry.resources import differences as compare

Action = Literal["create", "update", "replace", "delete"]


@dataclass(frozen=True)
class Change:
    """One resource, and what is done to it."""

    action: Action
    resource: Resource
    differences: tuple[Difference, ...]
    live: Live | None = None
    """The object as it was when the plan was made; None if there was none."""
    adopts: bool = False
    """Whether the change takes over something that Tenantry did not make."""

    @property
    def id(self) -> Id:
        """What the resource is known by."""
        return self.resource.id

    @property
    def stage(self) -> Stage:
        """The part of the walk that the change belongs to."""
        return self.resource.stage


@dataclass(frozen=True)
class Refusal:
    """A resource that we may not touch: something of its name exists that is not ours."""

    id: Id
    reason: str


@dataclass(frozen=True)
class Plan:
    """What would be done for one team, in order."""

    team: str
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    waiting: tuple[Refusal, ...] = ()
    """Resources that can't be made yet, and what they wait for; a later run makes them."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, and nothing in the way of it."""
        return not (self.changes or self.refusals)

    def in_stage(self, stage: Stage) -> list[Change]:
        """The changes of one stage, in order."""
        return [change for change in self.changes if change.stage == stage]


def make_plan(team: Team, desired: Iterable[Resource], observed: Observed) -> Plan:
    """What it takes to bring one team's resources to what is desired.

    Raises:
        TenantryError: the team could not be read: what was raised then.
    """
    if team.name in observed.unreadable:
        raise observed.unreadable[team.name]
    changes: list[Change] = []
    refusals: list[Refusal] = []
    waiting: list[Refusal] = []
    barred: set[Id] = set()
    for resource in sorted(desired, key=lambda resource: STAGES.index(resource.stage)):
        if resource.id in observed.waiting:
            barred.add(resource.id)
            waiting.append(Refusal(resource.id, observed.waiting[resource.id]))
            continue
        if resource.stage == "Mark as applied" and (refusals or waiting):
            continue  # Not all is applied: the next run is to look at this team again.
        if not barred.isdisjoint(resource.inside):
            barred.add(resource.id)
            continue
        step = _step(team, resource, observed.live.get(resource.id))
        if isinstance(step, Change):
            changes.append(step)
        elif step is not None:
            barred.add(resource.id)
            refusals.append(step)
    return Plan(team.name, tuple(changes), tuple(refusals), tuple(waiting))


def _step(team: Team, resource: Resource, live: Live | None) -> Change | Refusal | None:
    if live is None:
        found = tuple(compare(resource.fields, {}))
        return Change("create", resource, found)
    found = (*compare(resource.fields, live.fields), *_dropped(resource, live))
    if live.ours:
        return Change(_action(resource, found), resource, found, live) if found else None
    if adopts(team, resource, live):
        taken = Difference("owner", "someone else", "tenantry")
        return Change(_action(resource, found), resource, (taken, *found), live, adopts=True)
    differs = ", ".join(difference.field for difference in _beyond_marks(found))
    return Refusal(
        resource.id,
        "it exists and Tenantry did not make it"
        + (f"; it differs in {differs}" if differs else "; it is exactly as declared")
        + f". Rename or remove it, or let team '{team.name}' adopt it"
        + (" (adopt: yes)" if differs else " (adopt: if-identical)"),
    )


def adopts(team: Team, resource: Resource, live: Live) -> bool:
    """Whether the declared state says to take over something that is not ours."""
    if team.adopt == "if-identical":
        return not any(_beyond_marks(compare(resource.fields, live.fields)))
    return team.adopt == "yes"


def _beyond_marks(found: Iterable[Difference]) -> Iterator[Difference]:
    """The differences but for the marks, which nothing bears that is not ours."""
    for difference in found:
        if not any(mark in difference.field for mark in MARKS):
            yield difference


def _action(resource: Resource, found: Iterable[Difference]) -> Action:
    fixed = any(difference.field.split(".")[0] in resource.fixed for difference in found)
    return "replace" if fixed else "update"


def _dropped(resource: Resource, live: Live) -> Iterable[Difference]:
    """Fields that we once set and that are declared no more."""
    for path in sorted(live.owned):
        value = reach(live.fields, path)
        if value is not None and reach(resource.fields, path) is None:
            yield Difference(".".join(path), value, None)
