"""The objects, their resourceVersions, and the life of namespaces."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from .defaults import complete
from .errors import another, invalid, modified, not_found, terminating
from .fields import Shape, Write, updated
from .kinds import JSON, KINDS, NAMESPACE, SERVICE_ACCOUNT, Kind, definition, kind_named, kind_of
from .rules import broken

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
    """What tells the time."""

    def now(self) -> datetime:
        """The present moment."""


@dataclass(slots=True)
class Stored:
    """An object and, ready to be sent, what follows its apiVersion and kind.

    The object is never changed in place: a change puts another one here.
    """

    obj: JSON
    encoded: bytes


class Store:
    """What etcd and the controllers would hold and do."""

    def __init__(self, clock: Now) -> None:
        self.namespace_termination_seconds = 0.5
        self.version = 0
        self._clock = clock
        self._objects: dict[Kind, dict[Key, Stored]] = {kind: {} for kind in KINDS}
        self._ending: dict[str, float] = {}
        write = self.by("kube-apiserver")
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
        """The object, if there is one."""
        return self._objects[kind].get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        """The object; Refused where there is none."""
        found = self._objects[kind].get((namespace, name))
        if found is None:
            raise not_found(kind, name)
        return found

    def select(
        self, kind: Kind, namespace: str | None, tests: list[Callable[[JSON], bool]]
    ) -> list[tuple[Key, Stored]]:
        """The matching objects of a namespace or of all, in the order the server lists them."""
        held = self._objects[kind]
        keys = held if namespace is None else [key for key in held if key[0] == namespace]
        return [
            (key, held[key]) for key in sorted(keys) if all(test(held[key].obj) for test in tests)
        ]

    def __iter__(self) -> Iterator[JSON]:
        """Every object."""
        for held in self._objects.values():
            yield from (stored.obj for stored in held.values())

    # Writing

    def by(self, manager: str, operation: str = "Update") -> Write:
        """A write that happens now."""
        return Write(manager, operation, stamp(self._clock.now()))

    def create(self, kind: Kind, obj: JSON, write: Write, *, dry: bool = False) -> Stored:
        """Take in a new object, written by a plain request."""
        self.check_namespace(kind, obj)
        made = self.prepared(kind, obj, None)
        updated(SHAPES[kind], None, made, write, kind.api_version)
        return self.put(kind, made, None, dry=dry)

    def update(
        self, kind: Kind, obj: JSON, old: Stored, write: Write, *, dry: bool = False
    ) -> Stored:
        """Replace an object by a plain request."""
        changed = self.prepared(kind, obj, old.obj)
        updated(SHAPES[kind], old.obj, changed, write, kind.api_version)
        return self.put(kind, changed, old, dry=dry)

    def check_namespace(self, kind: Kind, obj: JSON) -> None:
        """Refuse a new object in a namespace that isn't there, or is about to go."""
        if not kind.namespaced:
            return
        namespace = obj["metadata"]["namespace"]
        home = self.find(NAMESPACE, "", namespace)
        if home is None:
            raise not_found(NAMESPACE, namespace)
        if "deletionTimestamp" in home.obj["metadata"]:
            raise terminating(kind, obj["metadata"]["name"], namespace)

    def prepared(self, kind: Kind, obj: JSON, old: JSON | None) -> JSON:
        """The object as it would be kept: with what the server sets, defaulted and valid."""
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
            raise another(kind, name, namespace, metadata["uid"], before["uid"])
        for key in _SERVERS:
            metadata.pop(key, None)
            if key in before:
                metadata[key] = before[key]
        if old is None:
            metadata["uid"] = str(uuid.uuid4())
            metadata["creationTimestamp"] = stamp(self._clock.now())
            if kind.counts_generations:
                metadata["generation"] = 1
        made = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
        made |= {
            key: value
            for key, value in obj.items()
            if value is not None and key not in ("apiVersion", "kind", "metadata", "status")
        }
        # The status is its controller's: what comes along with an object is not looked at.
        status = (old or obj).get("status") if old or kind.name in _WITH_STATUS else None
        if status is not None:
            made["status"] = status
        complete(kind, made)
        causes = broken(kind, made, old)
        if causes:
            raise invalid(kind, name, causes)
        if old is not None and kind.counts_generations and _content(made) != _content(old):
            metadata["generation"] += 1
        return made

    def put(self, kind: Kind, obj: JSON, old: Stored | None, *, dry: bool = False) -> Stored:
        """Keep the object under a new resourceVersion, unless nothing changed."""
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
            self.create(SERVICE_ACCOUNT, account, self.by("kube-controller-manager"))
        return stored

    def delete(self, kind: Kind, stored: Stored, *, dry: bool = False) -> Stored:
        """Remove an object, or mark it where something still holds on to it."""
        metadata = stored.obj["metadata"]
        key = metadata.get("namespace", ""), metadata["name"]
        if dry or "deletionTimestamp" in metadata:
            return stored
        if kind is not NAMESPACE and not metadata.get("finalizers"):
            del self._objects[kind][key]
            self.version += 1
            return stored
        now = self._clock.now()
        gone = json.loads(json.dumps(stored.obj))
        gone["metadata"] |= {
            "deletionTimestamp": stamp(now),
            "deletionGracePeriodSeconds": 0,
        }
        if kind is NAMESPACE:
            gone["metadata"].pop("deletionGracePeriodSeconds")
            gone["status"] = {"phase": "Terminating"}
            self._ending[metadata["name"]] = now.timestamp()
        return self.put(kind, gone, stored)

    def tick(self) -> None:
        """Do what the controllers would have done by now: end namespaces whose time has come."""
        if not self._ending:
            return
        now = self._clock.now().timestamp()
        for name, since in list(self._ending.items()):
            if now - since >= self.namespace_termination_seconds:
                self._end(name)

    def _end(self, name: str) -> None:
        left = 0
        for kind, held in self._objects.items():
            for key in [key for key in held if key[0] == name]:
                self.delete(kind, held[key])
                left += key in held
        namespace = self.find(NAMESPACE, "", name)
        if namespace is None:
            del self._ending[name]
        elif left or namespace.obj["metadata"].get("finalizers"):
            conditions = [
                {"type": kind, "status": "True", "reason": reason, "message": message}
                for kind, reason, message in (
                    ("NamespaceContentRemaining", "SomeResourcesRemain", f"{left} remain"),
                    ("NamespaceFinalizersRemaining", "SomeFinalizersRemain", "finalizers remain"),
                )
            ]
            status = {"phase": "Terminating", "conditions": conditions}
            self.put(
                NAMESPACE, json.loads(json.dumps(namespace.obj)) | {"status": status}, namespace
            )
        else:
            del self._objects[NAMESPACE]["", name], self._ending[name]
            self.version += 1

    # Keeping

    def dump(self) -> JSON:
        """Everything, as JSON."""
        return {
            "version": self.version,
            "ending": dict(self._ending),
            "objects": list(self),
        }

    def load(self, held: JSON) -> None:
        """Hold what was dumped, and nothing else."""
        self._objects = {kind: {} for kind in KINDS}
        self._ending = dict(held["ending"])
        for obj in held["objects"]:
            metadata = obj["metadata"]
            key = metadata.get("namespace", ""), metadata["name"]
            self._objects[kind_of(obj)][key] = _stored(obj)
        self.version = held["version"]


_SERVERS = (
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


def stamp(moment: datetime) -> str:
    """A moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
