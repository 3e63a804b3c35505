"""Objects of the Kubernetes API as resources: marks, observation, and server-side apply.

The adapters of Kubernetes and Istio define which objects are desired. This module compares and
writes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tenantry import marks
from tenantry.calls import MAX_SINGLE_READS
from tenantry.declared.team import Team
from tenantry.errors import InvalidResponse
from tenantry.kinds import Kind
from tenantry.marks import ADOPTED, MARK, Mark, Marks, labels
from tenantry.plan import Change
from tenantry.resources import Exactly, Id, Live, Observed, Path, Resource, get_path
from tenantry.systems.kubernetes.client import KINDS, MANAGER, KubernetesClient, Object
from tenantry.systems.kubernetes.kinds import NAMESPACE

OURS = f"{marks.MANAGED_BY}={marks.PRODUCT}"
"""The label selector for objects with Tenantry's mark."""


def is_ours(live: Object) -> bool:
    """Return whether an object carries Tenantry's mark."""
    return marks.is_marked(live["metadata"].get("labels"))


def mark_of(found: Object) -> Mark | None:
    """Return the mark of an object; None if it carries none."""
    metadata = found["metadata"]
    return marks.read(metadata.get("labels"), (metadata.get("annotations") or {}).get(MARK))


def id_of(kind: Kind, name: str, namespace: str | None = None) -> Id:
    """Return the id of an object."""
    return Id(kind, f"{namespace}/{name}" if namespace else name)


def resource(
    kind: Kind,
    name: str,
    team: Team | None,
    content: Mapping[str, Any],
    marks: Marks | None,
    *,
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
    more_labels: Mapping[str, str] | None = None,
) -> Resource:
    """Return a desired object.

    Args:
        kind: the kind.
        name: the name of the object.
        team: the team; None for an object that several teams share.
        content: the fields of the object without `metadata`.
        marks: the platform's marks. Without them, the object gets the labels only, because
            platforms that share a cluster share the object.
        namespace: the namespace, if the kind has one.
        annotations: the annotations, without those of the mark.
        more_labels: the labels, without those of the mark.
    """
    name_of_team = team.name if team else ""
    metadata: dict[str, Any] = {"labels": dict(more_labels or {}) | labels(name_of_team)}
    versioned = marks.versioned(name_of_team) if marks else {}
    if found := {**(annotations or {}), **versioned}:
        metadata["annotations"] = found
    return Resource(
        id=id_of(kind, name, namespace),
        fields={**content, "metadata": metadata},
        body=namespace,
        cluster_wide=team is None,
        depends_on=(Id(NAMESPACE, namespace),) if namespace else (),
    )


def manifest(wanted: Resource) -> Object:
    """Return the object as it is sent."""
    kind = KINDS[wanted.id.kind.name]
    namespace: str | None = wanted.body
    content = _unwrap(wanted.fields)
    where = {"namespace": namespace} if namespace else {}
    name = wanted.id.key.rsplit("/", 1)[-1]
    metadata = {"name": name, **where, **content.pop("metadata")}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata,
        **content,
    }


def _unwrap(value: Any) -> Any:
    if isinstance(value, Exactly):
        return _unwrap(value.value)
    if isinstance(value, Mapping):
        return {key: _unwrap(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_unwrap(below) for below in value]
    return str(value) if isinstance(value, str) else value


def observe(
    client: KubernetesClient,
    kind: Kind,
    owners: Mapping[str, str],
    seen: Observed,
    **selectors: Any,
) -> Iterator[Object]:
    """Yield the objects of a kind in some namespaces, with and without Tenantry's mark.

    Few namespaces are listed one by one. For more, one list of all namespaces is cheaper.

    Args:
        client: the cluster.
        kind: the kind.
        owners: the namespaces, with the team of each.
        seen: receives the namespaces whose list cannot be read.
        selectors: `labelSelector` and `fieldSelector`.
    """
    if len(owners) <= MAX_SINGLE_READS:
        for namespace in sorted(owners):
            every = id_of(kind, "*", namespace)
            with seen.capture_errors(every, owners[namespace], invalid_only=True):
                found = list(client.list(kind.name, namespace, **selectors))
                # Callers read both members, where an error would affect all teams.
                placed = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found}
                if any(where != namespace for where, _ in placed):
                    text = f"the list of {kind} in {namespace} has objects of another namespace"
                    raise InvalidResponse(kind.system, f"list {kind} in {namespace}", text)
                yield from found
    else:
        for live in client.list(kind.name, **selectors):
            if live["metadata"]["namespace"] in owners:
                yield live


def live(found: Object, foreign: str = "") -> Live:
    """Return an object as it was observed.

    Args:
        found: the object.
        foreign: why the object belongs to another team or platform, though it carries a mark.
    """
    fields = {key: value for key, value in found.items() if key not in ("apiVersion", "kind")}
    return Live(
        fields=fields,
        ours=is_ours(found) and not foreign,
        marked=_is_marked(found) and not foreign,
        adopted=is_adopted(found) and not foreign,
        team=None if foreign else _team_of(found),
        foreign=foreign,
        handle={"uid": found["metadata"]["uid"]},
        # Marks are never removed, also while the id of the platform is unknown.
        owned=frozenset(path for path in _owned(found) if path[-1] not in (ADOPTED, MARK)),
    )


def live_in(found: Object, owner: str) -> Live:
    """Return an object in a namespace of a team, as it was observed.

    A team can write any mark into its own namespaces. So the object belongs to this team, whatever
    team its mark names. It counts as created by Tenantry only if its mark names this team.
    """
    seen = live(found)
    if seen.team is None:
        return seen
    return replace(seen, team=owner, marked=seen.marked and seen.team == owner)


def is_adopted(found: Object) -> bool:
    """Return whether an object with Tenantry's mark existed before, and was adopted."""
    return is_ours(found) and ADOPTED in (found["metadata"].get("annotations") or {})


def _is_marked(found: Object) -> bool:
    return is_ours(found) and not is_adopted(found)


def team_of(found: Object) -> str | None:
    """Return the team whose mark an object carries; None if it carries none."""
    mark = mark_of(found)
    return (mark.team or None) if mark else None


def _team_of(found: Object) -> str | None:
    """Return the team whose mark an object in a namespace carries."""
    return team_of(found) if "namespace" in found["metadata"] else None


def _owned(found: Object) -> Iterator[Path]:
    for entry in found["metadata"].get("managedFields") or []:
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply":
            yield from _leaves(entry.get("fieldsV1") or {}, ())


def _leaves(fields: Mapping[str, Any], path: Path) -> Iterator[Path]:
    """Yield the paths of mappings only: lists are compared as a whole."""
    below = {key[2:]: value for key, value in fields.items() if key.startswith("f:")}
    if not below and path:
        yield path
    for key, value in below.items():
        yield from _leaves(value, (*path, key))


def apply(client: KubernetesClient, change: Change) -> None:
    """Make one change of an object.

    Server-side apply is sent with `force` only for objects that exist: they are Tenantry's, or are
    adopted.
    """
    if change.action == "delete":
        assert change.live is not None
        namespace, _, name = change.id.key.rpartition("/")
        client.delete(change.id.kind.name, name, namespace or None, change.live.handle["uid"])
        return
    body = manifest(change.resource)
    before = change.live.fields if change.live else {}
    if change.action == "adopt" or get_path(before, ("metadata", "annotations", ADOPTED)):
        body["metadata"].setdefault("annotations", {})[ADOPTED] = "true"
    if change.recreates:
        assert change.live is not None
        client.delete(
            change.id.kind.name,
            body["metadata"]["name"],
            change.resource.body,
            change.live.handle["uid"],
        )
    client.apply(body, force=change.live is not None)
