"""Connections that make each read once.

An import reads the systems in order to recognize the teams, and observes them again in order to plan
what it writes. The second time, the answers come from memory. So an import makes the reads that
drift detection makes, and the planner judges exactly what the import has read.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from tenantry.connections import KeycloakAccount
from tenantry.errors import SystemRefused
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient, Object


class Memory:
    """The answers by the request. Safe to use from many threads."""

    def __init__(self) -> None:
        self._answers: dict[Any, Any] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Any, read: Callable[[], Any]) -> Any:
        """Return the answer to a request, which is made at most once.

        Raises:
            SystemRefused: the system refused the request. The refusal is remembered, too.
            SystemUnavailable: the system does not answer now.
        """
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                try:
                    self._answers[key] = read()
                except SystemRefused as error:
                    self._answers[key] = error
        if isinstance(answer := self._answers[key], SystemRefused):
            raise answer
        return answer

    def knows(self, key: Any) -> bool:
        """Return whether the answer to a request is known."""
        return key in self._answers and not isinstance(self._answers[key], SystemRefused)


class RememberingHarbor(HarborClient):
    """The connection to Harbor, which makes each read and each login of a robot once."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._memory = Memory()

    def _read(self, path: str, by_name: bool, query: Row) -> Any:
        key = (path, by_name, tuple(sorted(query.items())))
        return self._memory.get(
            key, lambda: super(RememberingHarbor, self)._read(path, by_name, query)
        )

    def accepts(self, username: str, password: str) -> bool:
        """Return whether Harbor accepts a robot's credential, which is tried once."""
        key = ("accepts", username, password)
        return bool(
            self._memory.get(
                key, lambda: super(RememberingHarbor, self).accepts(username, password)
            )
        )


class RememberingKeycloak(KeycloakClient):
    """The connection to Keycloak, which makes each read once."""

    def __init__(self, account: KeycloakAccount, realm: str) -> None:
        super().__init__(account, realm)
        self._memory = Memory()

    def _read(self, path: str, query: dict[str, Any]) -> Any:
        key = (path, tuple(sorted(query.items())))
        return self._memory.get(key, lambda: super(RememberingKeycloak, self)._read(path, query))


class RememberingKubernetes(KubernetesClient):
    """The connection to a cluster, which lists each kind once, for all namespaces."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._memory = Memory()

    def _pages(
        self, kind: str, namespace: str | None, content: bool, selectors: Mapping[str, Any]
    ) -> list[Object]:
        fields = selectors.get("fieldSelector", "")
        # Opaque Secrets hold anything: only those in namespaces of teams are read.
        where = namespace if fields == OPAQUE else None
        key = (kind, content, fields, where) if where else (kind, content, fields)
        kept = {"fieldSelector": fields} if fields else {}
        found: list[Object] = self._memory.get(
            key, lambda: super(RememberingKubernetes, self)._pages(kind, where, content, kept)
        )
        labels = dict(
            part.split("=", 1) for part in selectors.get("labelSelector", "").split(",") if part
        )
        return [
            each
            for each in found
            if namespace in (None, each["metadata"].get("namespace"))
            and labels.items() <= (each["metadata"].get("labels") or {}).items()
        ]

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return an object; None if it does not exist. An object that was listed is not read again."""

        def find(content: bool, fields: str = "") -> Object | None:
            selectors = {"fieldSelector": fields} if fields else {}
            listed = self._pages(kind, namespace, content, selectors)
            return next((each for each in listed if each["metadata"]["name"] == name), None)

        if self._memory.knows((kind, True, "")):
            return find(True)
        if kind == "Secret" and self._memory.knows((kind, False, "")):
            if find(False) is None:
                return None
            if self._memory.knows((kind, True, PULL_SECRETS)):
                found = find(True, PULL_SECRETS)
                if found is not None:
                    return found
        key = ("get", kind, namespace, name)
        read: Object | None = self._memory.get(
            key, lambda: super(RememberingKubernetes, self).get(kind, name, namespace)
        )
        return read

    def may(self, verb: str, kind: str, name: str) -> bool:
        """Return whether this account has a right on a cluster-wide object."""
        key = ("may", verb, kind, name)
        return bool(
            self._memory.get(key, lambda: super(RememberingKubernetes, self).may(verb, kind, name))
        )


OPAQUE = "type=Opaque"
"""The field selector of the Secrets without a format."""
PULL_SECRETS = "type=kubernetes.io/dockerconfigjson"
"""The field selector of the Secrets that hold credentials for registries."""
