"""The one planner: desired against observed gives an ordered list of changes."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from tenantry.declared.adopt import AdoptMode, shortest
from tenantry.declared.policy_text import grant_text
from tenantry.declared.team import Team
from tenantry.kinds import STAGES
from tenantry.plan import (
    MARKED,
    Action,
    Change,
    Left,
    Owner,
    Plan,
    Refusal,
    beyond_marks,
    is_immutable,
)
from tenantry.resources import PLATFORM, Difference, Id, Live, Observed, Resource, get_path
from tenantry.resources import differences as compare


def make_plan(
    owner: Owner, desired: Iterable[Resource], observed: Observed, *, partial: bool = False
) -> Plan:
    """Return the plan that brings the resources of one team, or of the platform, to the desired state.

    Args:
        owner: the team, or the platform.
        desired: its resources.
        observed: their observed state.
        partial: plan what could be read, and leave out the rest. Resources within an object that must
            not be changed are compared, too.

    Raises:
        TenantryError: part of it could not be read; the error of that observation.
    """
    name = owner.name if isinstance(owner, Team) else PLATFORM
    if not partial and (failure := observed.failure(name)):
        raise failure
    wanted = sorted(desired, key=lambda resource: STAGES.index(resource.stage))
    if observed.unreadable:
        wanted = [resource for resource in wanted if _is_known(resource, observed)]
    changes: list[Change] = []
    refusals: list[Refusal] = []
    waiting: list[Refusal] = []
    withheld: list[Change] = []
    refused: set[Id] = set()
    barred: set[Id] = set()
    adopted: set[Id] = set()
    for resource in wanted:
        if resource.id in observed.waiting:
            barred.add(resource.id)
            waiting.append(Refusal(resource.id, observed.waiting[resource.id]))
            continue
        if resource.stage == "Mark as applied" and (refusals or waiting):
            continue  # Not all is applied: the next run must observe this team again.
        around = {*resource.depends_on, resource.owner}
        live = observed.live.get(resource.id)
        if not barred.isdisjoint(around):
            barred.add(resource.id)
            if partial and not refused.isdisjoint(around):
                refused.add(resource.id)
                withheld += _withheld(resource, live)
            continue
        ours = live is None or live.ours
        is_part = resource.owner in adopted
        adopts = not ours and (is_part or may_adopt(owner, resource, wanted, observed))
        if adopts:
            adopted.add(resource.id)
        step = _step(owner, resource, live, ours=ours, adopts=adopts, is_part=is_part)
        if isinstance(step, Change):
            changes.append(step)
        elif step is not None:
            barred.add(resource.id)
            refused.add(resource.id)
            refusals.append(step)
    declared = {id for resource in wanted for id in (resource.id, *resource.parts)}
    changes += _removals(name, declared, observed)
    changes.sort(key=lambda change: STAGES.index(change.stage))
    left = tuple(_left(owner, declared, observed))
    return Plan(name, tuple(changes), tuple(refusals), tuple(waiting), tuple(withheld), left)


def _withheld(resource: Resource, live: Live | None) -> Iterator[Change]:
    """Yield the change that would be made if the object that contains the resource were ours."""
    found = _found(resource, live)
    # The mark that all is applied is a part of the namespace itself.
    if resource.stage != "Mark as applied" and (found or live is None):
        yield Change("update" if live else "create", resource, found, live)


def _found(resource: Resource, live: Live | None) -> tuple[Difference, ...]:
    if live is None:
        return tuple(compare(resource.fields, {}))
    return (*compare(resource.fields, live.fields), *_dropped(resource, live))


def _is_known(resource: Resource, observed: Observed) -> bool:
    here = (id for id in resource.depends_on if id.system == resource.id.system)
    around = (resource.owner, *here)
    return all(observed.is_known(id) for id in (resource.id, *around) if id is not None)


def _step(
    owner: Owner,
    resource: Resource,
    live: Live | None,
    *,
    ours: bool,
    adopts: bool,
    is_part: bool,
) -> Change | Refusal | None:
    found = _found(resource, live)
    if live is None:
        return Change("create", resource, found)
    if (ours or adopts) and (reason := _locked(found, live)):
        return Refusal(resource.id, reason, found)
    if ours:
        action: Action = "replace" if is_immutable(resource, found) else "update"
        return Change(action, resource, found, live) if found else None
    if live.foreign:
        return Refusal(resource.id, live.foreign, found)
    if adopts:
        if is_part and not found:
            return None
        return Change("adopt", resource, tuple(_adopted(resource, found, is_part)), live)
    kind = resource.id.kind
    fields = ", ".join(difference.field for difference in beyond_marks(kind, found))
    how = "it matches its declaration"
    adopt: AdoptMode = "if-identical"
    if fields:
        how, adopt = f"it differs in {fields}", "yes"
    elif owner.adopt.of(kind.system) == "if-identical":
        how, adopt = "it matches its declaration, but its parts do not", "yes"
    return Refusal(
        resource.id,
        f"it exists and Tenantry did not create it; {how}. Rename or remove it, or let {owner.label} "
        f"adopt it ({_adoption(owner, kind.system, adopt)})",
        found,
    )


def _adopted(
    resource: Resource, found: Iterable[Difference], is_part: bool
) -> Iterator[Difference]:
    """Yield the differences of an adopted object: the mark once, and fields that have another value.

    A part of an adopted object, such as a member of a project, may have no mark of its own.
    """
    found = list(found)
    others = [*beyond_marks(resource.id.kind, found)]
    if not is_part or len(others) < len(found):
        yield MARKED
    yield from (each for each in found if each in others or each.old not in (None, ""))


def _adoption(owner: Owner, system: str, mode: AdoptMode) -> str:
    """Return how adoption is declared: of a team's objects, the policy must allow it, too."""
    is_uniform = isinstance(shortest(owner.adopt), str)
    allowed: Any = mode if is_uniform else {system: mode}
    shown = mode if is_uniform else f"{{{system}: {mode}}}"
    if not isinstance(owner, Team):
        return f"adopt: {shown}"
    grant = grant_text([owner.name], {"adopt": allowed})
    return f"adopt: {shown} in its file, and in policy.grants of platform.yaml: {grant}"


def _locked(found: Iterable[Difference], live: Live) -> str:
    """Return why the system rejects this change from every account; empty if it does not."""
    fields = [(each.field, each.field.split(".")[0]) for each in found]
    reasons = dict.fromkeys(live.read_only[top] for _, top in fields if top in live.read_only)
    names = ", ".join(name for name, top in fields if top in live.read_only)
    return f"it differs in {names}; {'; '.join(reasons)}" if reasons else ""


def may_adopt(
    owner: Owner, resource: Resource, wanted: Iterable[Resource], observed: Observed
) -> bool:
    """Return whether the declared state allows to adopt an object that is not ours.

    If only identical objects may be adopted, the objects that would become ours with it must be
    identical, too.
    """
    live = observed.live.get(resource.id)
    if live is not None and live.foreign:
        return False
    mode = owner.adopt.of(resource.id.system)
    if mode != "if-identical":
        return mode == "yes"
    parts = [part for part in wanted if part is resource or part.owner == resource.id]
    found = ((part, observed.live.get(part.id)) for part in parts)
    return not any(
        any(beyond_marks(part.id.kind, compare(part.fields, live.fields)))
        for part, live in found
        if live
    )


def _removals(team: str, declared: Collection[Id], observed: Observed) -> Iterator[Change]:
    """Yield the changes of objects with the owner's mark that are no longer declared."""
    for id, live in observed.marked(team):
        if id in declared:
            continue
        fields = id.kind.retired_fields
        if id.kind.removal == "at once":
            yield Change("delete", Resource(id, {}), (), live)
        elif fields and (found := tuple(compare(fields, live.fields))):
            yield Change("update", Resource(id, fields), found, live)


def _left(owner: Owner, declared: Collection[Id], observed: Observed) -> Iterator[Left]:
    """Yield the other objects with the owner's mark that are no longer declared."""
    name = owner.name if isinstance(owner, Team) else PLATFORM
    for id, live in observed.marked(name):
        if id in declared or id.kind.removal == "at once":
            continue
        if reason := id.kind.explain_left(owner, id.key, live):
            yield Left(id, reason, id.kind.removal)


def _dropped(resource: Resource, live: Live) -> Iterable[Difference]:
    """Yield fields that Tenantry once set and that are no longer declared."""
    for path in sorted(live.owned):
        value = get_path(live.fields, path)
        if value is not None and get_path(resource.fields, path) is None:
            yield Difference(".".join(path), value, None)
