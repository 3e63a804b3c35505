"""The store for objects, with their resourceVersions and the termination of namespaces."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from .conditions import remaining
from .defaults import complete_object
from .errors import invalid, modified, not_found, other_uid, terminating
from .fields import Write, is_reset, record_update
from .kinds import (
    JSON,
    KINDS,
    NAMESPACE,
    SERVICE_ACCOUNT,
    Kind,
    copy_json,
    definition,
    kind_named,
    kind_of,
)
from .rules import find_causes
from .shapes import Shape

Key = tuple[str, str]

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "istio-system")
_CLUSTER_ROLES: dict[str, list[JSON]] = {
    "cluster-admin": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    "admin": [{"apiGroups": [""], "resources": ["pods", "secrets", "services"], "verbs": ["*"]}],
    "edit": [{"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["*"]}],
    "view": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
}
SHAPES = {kind: Shape(kind) for kind in KINDS}


class Now(Protocol):
    """A clock."""

    def now(self) -> datetime:
        """Return the current time."""


@dataclass(slots=True)
class Stored:
    """An object, and its encoding without apiVersion and kind, ready to send.

    The object is never changed in place: a change stores another one.
    """

    obj: JSON
    encoded: bytes


class Store:
    """The objects, and the work of etcd and the controllers."""

    def __init__(self, clock: Now) -> None:
        self.namespace_termination_seconds = 0.5
        self.version = 0
        self._clock = clock
        self._objects: dict[Kind, dict[Key, Stored]] = {kind: {} for kind in KINDS}
        self._terminating: dict[str, float] = {}
        write = self.write_by("kube-apiserver")
        for name in _NAMESPACES:
            self.create(NAMESPACE, {"metadata": {"name": name}}, write)
        role = kind_named("ClusterRole")
        for name, rules in _CLUSTER_ROLES.items():
            labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
            self.create(role, {"metadata": {"name": name, "labels": labels}, "rules": rules}, write)
        crd = kind_named("CustomResourceDefinition")
        for kind in KINDS:
            if kind.custom:
                self.create(crd, definition(kind), write)

    # Reading

    def find(self, kind: Kind, namespace: str, name: str) -> Stored | None:
        """Return an object, or None."""
        return self._objects[kind].get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        """Return an object; raise Refused if it does not exist."""
        found = self._objects[kind].get((namespace, name))
        if found is None:
            raise not_found(kind, name)
        return found

    def select(
        self, kind: Kind, namespace: str | None, tests: list[Callable[[JSON], bool]]
    ) -> list[tuple[Key, Stored]]:
        """Return the matching objects of one or all namespaces, in the order of the server's lists."""
        held = self._objects[kind]
        keys = held if namespace is None else [key for key in held if key[0] == namespace]
        return [
            (key, held[key]) for key in sorted(keys) if all(test(held[key].obj) for test in tests)
        ]

    def __iter__(self) -> Iterator[JSON]:
        """Yield all objects."""
        for held in self._objects.values():
            yield from (stored.obj for stored in held.values())

    # Writing

    def write_by(self, manager: str, operation: str = "Update") -> Write:
        """Return a write by this manager at the current time."""
        return Write(manager, operation, timestamp(self._clock.now()))

    def create(self, kind: Kind, obj: JSON, write: Write, *, dry: bool = False) -> Stored:
        """Store and return a new object, created by a POST."""
        self.check_namespace(kind, obj)
        new = self.prepare(kind, obj, None)
        record_update(SHAPES[kind], None, new, write, kind.api_version)
        return self.put(kind, new, None, dry=dry)

    def update(
        self, kind: Kind, obj: JSON, old: Stored, write: Write, *, dry: bool = False
    ) -> Stored:
        """Store and return an object that replaces another, by a PUT or a patch."""
        changed = self.prepare(kind, obj, old.obj)
        if is_reset(obj["metadata"]):
            changed["metadata"].pop("managedFields", None)
        else:
            record_update(SHAPES[kind], old.obj, changed, write, kind.api_version)
        return self.put(kind, changed, old, dry=dry)

    def check_namespace(self, kind: Kind, obj: JSON) -> None:
        """Raise Refused if the namespace of a new object does not exist or is being terminated."""
        if not kind.namespaced:
            return
        namespace = obj["metadata"]["namespace"]
        parent = self.find(NAMESPACE, "", namespace)
        if parent is None:
            raise not_found(NAMESPACE, namespace)
        if "deletionTimestamp" in parent.obj["metadata"]:
            raise terminating(kind, obj["metadata"]["name"], namespace)

    def prepare(self, kind: Kind, obj: JSON, old: JSON | None) -> JSON:
        """Return an object as it will be stored, with the server's fields and defaults.

        Raises:
            Refused: it is invalid, or another version or object than expected.
        """
        metadata = {
            key: value
            for key, value in obj["metadata"].items()
            if value not in (None, {}, []) and key != "selfLink"
        }
        name = metadata["name"]
        before = (old or {}).get("metadata", {})
        wanted = metadata.get("resourceVersion")
        if wanted and old is not None and wanted != before["resourceVersion"]:
            raise modified(kind, name)
        if metadata.get("uid") and old is not None and metadata["uid"] != before["uid"]:
            namespace = metadata.get("namespace", "")
            raise other_uid(kind, name, namespace, metadata["uid"], before["uid"])
        for key in _SET_BY_SERVER:
            metadata.pop(key, None)
            if key in before:
                metadata[key] = before[key]
        if old is None:
            metadata["uid"] = str(uuid.uuid4())
            metadata["creationTimestamp"] = timestamp(self._clock.now())
            if kind.counts_generations:
                metadata["generation"] = 1
        new = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
        new |= {
            key: value
            for key, value in obj.items()
            if value is not None and key not in ("apiVersion", "kind", "metadata", "status")
        }
        # A controller sets the status. One that a client sends is ignored.
        status = (old or obj).get("status") if old or kind.name in _WITH_STATUS else None
        if status is not None:
            new["status"] = status
        complete_object(kind, new)
        causes = find_causes(kind, new, old)
        if causes:
            raise invalid(kind, name, causes)
        if old is not None and kind.counts_generations and _content(new) != _content(old):
            metadata["generation"] += 1
        return new

    def put(self, kind: Kind, obj: JSON, old: Stored | None, *, dry: bool = False) -> Stored:
        """Store an object under a new resourceVersion unless it is unchanged, and return it."""
        metadata = obj["metadata"]
        if old is not None and obj == old.obj:
            return old
        if not dry:
            self.version += 1
            metadata["resourceVersion"] = str(self.version)
        obj["metadata"] = dict(sorted(metadata.items()))
        stored = _stored(obj)
        if dry:
            return stored
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        released = "deletionTimestamp" in metadata and not metadata.get("finalizers")
        if released and kind is not NAMESPACE:
            self._objects[kind].pop((namespace, name), None)
            return stored
        self._objects[kind][namespace, name] = stored
        if kind is NAMESPACE and old is None:
            account = {"metadata": {"name": "default", "namespace": name}}
            self.create(SERVICE_ACCOUNT, account, self.write_by("kube-controller-manager"))
        return stored

    def delete(self, kind: Kind, stored: Stored, *, dry: bool = False) -> Stored:
        """Delete an object and return it. One with finalizers is only marked for deletion."""
        metadata = stored.obj["metadata"]
        key = metadata.get("namespace", ""), metadata["name"]
        if dry or "deletionTimestamp" in metadata:
            return stored
        if kind is not NAMESPACE and not metadata.get("finalizers"):
            del self._objects[kind][key]
            self.version += 1
            return stored
        now = self._clock.now()
        marked = copy_json(stored.obj)
        marked["metadata"] |= {
            "deletionTimestamp": timestamp(now),
            "deletionGracePeriodSeconds": 0,
        }
        if kind is NAMESPACE:
            marked["metadata"].pop("deletionGracePeriodSeconds")
            marked["status"] = {"phase": "Terminating"}
            self._terminating[metadata["name"]] = now.timestamp()
        return self.put(kind, marked, stored)

    def run_controllers(self) -> None:
        """End the namespaces whose termination is due, as the controllers do."""
        if not self._terminating:
            return
        now = self._clock.now().timestamp()
        for name, since in list(self._terminating.items()):
            if now - since >= self.namespace_termination_seconds:
                self._finish_termination(name)

    def _finish_termination(self, name: str) -> None:
        for kind, held in self._objects.items():
            for key in [key for key in held if key[0] == name]:
                self.delete(kind, held[key])
        namespace = self.find(NAMESPACE, "", name)
        if namespace is None:
            del self._terminating[name]
            return
        left = {
            kind: [held[key].obj for key in held if key[0] == name]
            for kind, held in self._objects.items()
        }
        left = {kind: objects for kind, objects in left.items() if objects}
        if left or namespace.obj["metadata"].get("finalizers"):
            conditions = remaining(left)
            status = {"phase": "Terminating", "conditions": conditions}
            self.put(NAMESPACE, copy_json(namespace.obj) | {"status": status}, namespace)
        else:
            del self._objects[NAMESPACE]["", name], self._terminating[name]
            self.version += 1

    # Saving

    def dump(self) -> JSON:
        """Return the whole state as JSON values."""
        return {
            "version": self.version,
            "ending": dict(self._terminating),
            "objects": list(self),
        }

    def load(self, held: JSON) -> None:
        """Replace the whole state by an earlier dump."""
        self._objects = {kind: {} for kind in KINDS}
        self._terminating = dict(held["ending"])
        for obj in held["objects"]:
            metadata = obj["metadata"]
            key = metadata.get("namespace", ""), metadata["name"]
            self._objects[kind_of(obj)][key] = _stored(obj)
        self.version = held["version"]


_SET_BY_SERVER = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
)
_WITH_STATUS = ("CustomResourceDefinition",)


def _stored(obj: JSON) -> Stored:
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    return Stored(obj, json.dumps(rest, separators=(",", ":"), ensure_ascii=False).encode())


def _content(obj: JSON) -> JSON:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def timestamp(moment: datetime) -> str:
    """Return a time as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
