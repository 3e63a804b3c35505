"""The record of the resources that Tenantry created for a team, on the team's first namespace.

A member of a group or of a Harbor project, and a rule of a project, have no place for a mark. Other
resources have a mark, but a run would have to list those of all teams to find them: OIDC clients,
further namespaces, and Secrets outside of the team's namespaces. So the annotation
`tenantry.io/created` records their ids before they are created. A resource that is recorded and no
longer declared is read by its id, and is known to be Tenantry's.

Members of a team cannot change their namespaces. Besides, the record alone never decides that a
resource belongs to the team: its own mark must show that, or the mark of the group or project that
contains it.

Kubernetes limits the annotations of an object to 256 KiB. So a long name is recorded as a hash if
Tenantry reads all resources of its kind anyway, and each group or project is named once.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tenantry.declared import Team
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.resources import Id, Live, Observed, Resource, get_path
from tenantry.systems.kubernetes.kinds import NAMESPACE, NAMESPACE_MARK

RECORD = "tenantry.io/created"
"""Annotation: the recorded resources by kind and container, as JSON."""
MAX_ANNOTATIONS = 256 * 1024
"""The maximum size of all annotations of an object: Kubernetes' `TotalAnnotationSizeLimitB`."""
_HASHED = "~"
"""The beginning of a hash. A name that begins with it is recorded as a hash, too."""
_HASH_BYTES = 15
_LONGEST_NAME = 20
"""The size in bytes of the longest name that is recorded as it is."""


def recorded(team: Team, observed: Observed, kind: Kind) -> frozenset[str]:
    """Return the keys of the resources of a kind that Tenantry created for a team.

    If the kind is `hashed_in_record`, they are the results of `recorded_key`.
    """
    return frozenset(id.key for id in recorded_ids(team, observed) if id.kind == kind)


def recorded_ids(team: Team, observed: Observed) -> frozenset[Id]:
    """Return the ids of all resources that Tenantry created for a team, as `recorded` has their keys."""
    return parse(_annotation(team, observed)) or frozenset()


def recorded_key(key: str) -> str:
    """Return the key by which the record has a resource of a kind that is `hashed_in_record`."""
    container, _, name = key.partition("/")
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME and not name.startswith(_HASHED):
        return key
    digest = hashlib.sha256(encoded).digest()[:_HASH_BYTES]
    return f"{container}/{_HASHED}{base64.urlsafe_b64encode(digest).decode()}"


@lru_cache(maxsize=4096)
def parse(text: str | None) -> frozenset[Id] | None:
    """Return the ids in a record; None if none exists, or if someone has made it unreadable.

    Of the kinds of the ids, only the system and the name are known. The keys are those of
    `recorded`.
    """
    if text is None:
        return None
    try:
        return frozenset(
            Id(Kind(*kind.split("/", 1)), key)
            for kind, found in json.loads(text).items()
            for key in _keys(found)
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _keys(found: Any) -> Iterator[str]:
    """Yield the keys in a list: keys themselves, and mappings of a container to what it contains."""
    if not isinstance(found, list):
        raise TypeError
    for each in found:
        if isinstance(each, str):
            yield each
        else:
            for container, names in each.items():
                yield from (f"{container}/{name}" for name in _keys(names))


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
        _as_recorded(id)
        for id in declared
        if id.kind.is_recorded and id != home and _is_created(id, known, observed)
        if _as_recorded(id) in before or id not in refused
    }
    undeclared = before - set(map(_as_recorded, declared))
    # Under a refused name, nothing exists: the resources under the former name stay on the record.
    left = undeclared if refused else _left(team, undeclared, observed, kinds)
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


def check_size(team: Team, wanted: Iterable[Resource], observed: Observed) -> None:
    """Check that the first namespace of a team has room for the record.

    Args:
        team: the team.
        wanted: its desired resources, with the record.
        observed: what was observed of it.

    Raises:
        SystemRefused: all annotations together would exceed the limit of Kubernetes.
    """
    home = Id(NAMESPACE, team.home_namespace)
    fields = next((resource.fields for resource in wanted if resource.id == home), {})
    path = ("metadata", "annotations")
    desired: Mapping[str, str] = get_path(fields, path) or {}
    live = observed.live.get(home)
    found: Mapping[str, str] = (get_path(live.fields, path) if live else None) or {}
    dropped = {names[-1] for names in live.owned if names[:-1] == path} if live else set()
    others = {key: value for key, value in found.items() if key not in dropped}
    after = {**others, **desired}
    size = sum(len(key.encode()) + len(str(value).encode()) for key, value in after.items())
    if size <= MAX_ANNOTATIONS:
        return
    text = str(after.get(RECORD, ""))
    numbers: dict[str, int] = defaultdict(int)
    for id in parse(text) or ():
        numbers[id.kind.name] += 1
    most = sorted(numbers.items(), key=lambda each: -each[1])[:3]
    named = ", ".join(f"{kind}: {number:,}" for kind, number in most)
    raise SystemRefused(
        "kubernetes",
        f"namespace '{team.home_namespace}' of team '{team.name}'",
        f"its annotations would have {size:,} bytes, and Kubernetes allows {MAX_ANNOTATIONS:,}. "
        f"{len(text.encode()):,} of them are the record '{RECORD}' of the resources that Tenantry "
        f"creates for the team ({named})",
        advice="Nothing was changed. Declare fewer resources of these kinds, or shorten the other "
        "annotations. 'external_groups' can replace a long list 'members'.",
    )


def _as_recorded(id: Id) -> Id:
    return id._replace(key=recorded_key(id.key)) if id.kind.hashed_in_record else id


def _is_created(id: Id, before: Collection[Id] | None, observed: Observed) -> bool:
    """Return whether Tenantry has created a desired resource, or will create it.

    Args:
        id: the resource.
        before: the record; None if an earlier release, which wrote none, created the namespace, or if
            someone has made it unreadable. Then everything of Tenantry that was not adopted counts as
            created.
        observed: what was observed.
    """
    if before is not None and _as_recorded(id) in before:
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


def _left(
    team: Team, undeclared: AbstractSet[Id], observed: Observed, kinds: Iterable[Kind]
) -> set[Id]:
    """Return those of the recorded resources that exist, or about which this is not known."""
    hashed = {kind: kind for kind in kinds if kind.hashed_in_record}
    exact = {id for id in undeclared if id.kind not in hashed}
    left = {id for id in exact if id in observed.live or not observed.is_known(id)}
    if len(exact) == len(undeclared):
        return left
    marked = {_as_recorded(id) for id, _ in observed.marked(team.name) if id.kind.hashed_in_record}
    for id in undeclared - exact:
        container = id.key.partition("/")[0]
        around = observed.live.get(Id(hashed[id.kind].container or id.kind, container))
        is_read = around is None or around.ours
        if id in marked or not (is_read and _is_read(id.kind, container, observed)):
            left.add(id)
    return left


def _is_read(kind: Kind, container: str, observed: Observed) -> bool:
    """Return whether all resources of a kind in a container could be read."""
    unread = (id for id in observed.unreadable if id.kind == kind)
    is_in_part = any(id.key.partition("/")[0] in (container, "*") for id in unread)
    return not is_in_part and observed.is_known(Id(kind, f"{container}/"))


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
    content: dict[str, list[Any]] = {}
    inside: dict[tuple[str, str], list[str]] = {}
    for system, kind, key in sorted(id.parts for id in ids):
        found = content.setdefault(f"{system}/{kind}", [])
        container, slash, name = key.partition("/")
        if not slash:
            found.append(key)
        elif (names := inside.get((f"{system}/{kind}", container))) is not None:
            names.append(name)
        else:
            inside[f"{system}/{kind}", container] = names = [name]
            found.append({container: names})
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def _with(resource: Resource, text: str | None) -> Resource:
    """Return a resource with this record as an annotation; unchanged if there is no record."""
    if text is None:
        return resource
    metadata: Mapping[str, Any] = resource.fields.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), RECORD: text}
    fields = {**resource.fields, "metadata": {**metadata, "annotations": annotations}}
    return replace(resource, fields=fields)
