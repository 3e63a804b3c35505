"""The record of the resources that Tenantry created for a team, on the team's first namespace.

A member of a group or of a Harbor project, and a rule of a project, have no place for a mark. Other
resources have a mark, but a run would have to list those of all teams to find them: OIDC clients,
further namespaces, and Secrets outside of the team's namespaces. So the annotation
`tenantry.io/created` records their ids before they are created. A resource that is recorded and no
longer declared is read by its id, and is known to be Tenantry's.

Members of a team cannot change their namespaces. Besides, the record alone never decides that a
resource belongs to the team: its place or its own mark must show that, too.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tenantry.declared import Team
from tenantry.kinds import Kind
from tenantry.resources import Id, Live, Observed, Resource, get_path
from tenantry.systems.kubernetes.kinds import NAMESPACE, NAMESPACE_MARK

RECORD = "tenantry.io/created"
"""Annotation: the keys of the recorded resources by kind, as JSON."""


def recorded(team: Team, observed: Observed, kind: Kind) -> frozenset[str]:
    """Return the keys of the resources of a kind that Tenantry created for a team."""
    return frozenset(id.key for id in recorded_ids(team, observed) if id.kind == kind)


def recorded_ids(team: Team, observed: Observed) -> frozenset[Id]:
    """Return the ids of all resources that Tenantry created for a team."""
    return parse(_annotation(team, observed)) or frozenset()


@lru_cache(maxsize=4096)
def parse(text: str | None) -> frozenset[Id] | None:
    """Return the ids in a record; None if none exists, or if someone has made it unreadable.

    Of the kinds of the ids, only the system and the name are known.
    """
    if text is None:
        return None
    try:
        content = json.loads(text)
        return frozenset(
            Id(Kind(*kind.split("/", 1)), str(key))
            for kind, keys in content.items()
            for key in keys
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def with_record(
    team: Team, wanted: Sequence[Resource], observed: Observed, kinds: Collection[Kind]
) -> list[Resource]:
    """Return the desired resources of a team, with the record on its first namespace.

    The namespace gets the record before the resources are created. The resources that this plan
    deletes are removed from it by the last change, which marks the team as applied. A resource that
    another client has deleted stays in it until the record is written for another reason.

    Args:
        team: the team.
        wanted: the desired resources.
        observed: what was observed of the team.
        kinds: all kinds of resources of teams.
    """
    home, mark = Id(NAMESPACE, team.home_namespace), Id(NAMESPACE_MARK, team.home_namespace)
    text = _annotation(team, observed)
    known = parse(text)
    before = known or frozenset()
    declared = {id for resource in wanted for id in (resource.id, *resource.parts)}
    refused = _refused(wanted, observed)
    created = {
        id
        for id in declared
        if id.kind.is_recorded and id != home and _is_created(id, known, observed)
        if id in before or id not in refused
    }
    # Under a refused name, nothing exists: the resources under the former name stay on the record.
    left = {id for id in before - declared if refused or _may_exist(id, observed)}
    at_once = {kind for kind in kinds if kind.removal == "at once"}
    deleted = {id for id in left if id.kind in at_once}
    is_complete = known is not None and created | left <= known
    shown = {home: text if is_complete else _text(created | left)}
    rest = created | (left - deleted)
    if rest != (parse(shown[home]) or frozenset()) and (
        deleted or _is_marked_again(wanted, mark, observed)
    ):
        shown[mark] = _text(rest)
    return [_with(resource, shown.get(resource.id)) for resource in wanted]


def _refused(wanted: Iterable[Resource], observed: Observed) -> frozenset[Id]:
    """Return the ids of resources that belong to others, and of all that depends on them."""
    found: set[Id] = set()
    for resource in wanted:
        live = observed.live.get(resource.id)
        around = {*resource.depends_on, resource.owner}
        if (live is not None and live.foreign) or not found.isdisjoint(around):
            found |= {resource.id, *resource.parts}
    return frozenset(found)


def _is_created(id: Id, before: Collection[Id] | None, observed: Observed) -> bool:
    """Return whether Tenantry has created a desired resource, or will create it.

    Args:
        id: the resource.
        before: the record; None if an earlier release, which wrote none, created the namespace, or if
            someone has made it unreadable. Then everything of Tenantry that was not adopted counts as
            created.
        observed: what was observed.
    """
    if before is not None and id in before:
        return True
    if not observed.is_known(id):
        return False
    live = observed.live.get(id)
    if live is None or live.marked:
        return True
    if before is not None or not live.ours or live.adopted:
        return False
    kind = id.kind.container
    around = observed.live.get(Id(kind, id.key.partition("/")[0])) if kind else None
    return around is None or not around.adopted


def _may_exist(id: Id, observed: Observed) -> bool:
    return id in observed.live or not observed.is_known(id)


def _is_marked_again(wanted: Iterable[Resource], mark: Id, observed: Observed) -> bool:
    """Return whether the team is marked as applied by this plan, since its declaration changed."""
    fields = next((resource.fields for resource in wanted if resource.id == mark), {})
    live = observed.live.get(mark)
    annotations = get_path(fields, ("metadata", "annotations")) or {}
    found = get_path(live.fields, ("metadata", "annotations")) if live else None
    return any((found or {}).get(key) != value for key, value in annotations.items())


def _annotation(team: Team, observed: Observed) -> str | None:
    live: Live | None = observed.live.get(Id(NAMESPACE, team.home_namespace))
    if live is None or not live.ours:
        return None
    text = get_path(live.fields, ("metadata", "annotations", RECORD))
    return None if text is None else str(text)


def _text(ids: Iterable[Id]) -> str:
    content: dict[str, list[str]] = {}
    for system, kind, key in sorted(id.parts for id in ids):
        content.setdefault(f"{system}/{kind}", []).append(key)
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def _with(resource: Resource, text: str | None) -> Resource:
    """Return a resource with this record as an annotation; unchanged if there is no record."""
    if text is None:
        return resource
    metadata: Mapping[str, Any] = resource.fields.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), RECORD: text}
    fields = {**resource.fields, "metadata": {**metadata, "annotations": annotations}}
    return replace(resource, fields=fields)
