"""The client of the Kubernetes API server, which takes and returns objects as plain dicts.

The official client handles connections, certificates and credentials. Its retries are off, and each
call has a time-out.
"""

import builtins
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tenantry.answers import Answer, many, one
from tenantry.calls import CircuitBreaker, retry_read
from tenantry.connections import Cluster
from tenantry.errors import (
    InvalidResponse,
    SystemRefused,
    SystemUnavailable,
)
from tenantry.systems.kubernetes.answers import checked, result, written
from tenantry.systems.kubernetes.kinds import GATEWAY_API
from tenantry.text import logger
from tenantry.transport import conflict_as_change, ignore_missing

MANAGER = "tenantry"
"""The field manager of all writes."""
_PAGE = 500
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The media type for lists of metadata: the content of Secrets is not transferred."""
_WAIT_FOR_NAMESPACE = 120.0
_LOG = logger(__name__)
_RESTARTS = 3
"""How often a list is started again because the server no longer has its state."""

Object = dict[str, Any]


class Kind(NamedTuple):
    """A kind of object, as the API server addresses it."""

    kind: str
    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of an object, or of the list of all objects."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")


KINDS = {
    kind.kind: kind
    for kind in (
        Kind("Namespace", "v1", "namespaces", namespaced=False),
        Kind("Secret", "v1", "secrets"),
        Kind("ServiceAccount", "v1", "serviceaccounts"),
        Kind("ResourceQuota", "v1", "resourcequotas"),
        Kind("LimitRange", "v1", "limitranges"),
        Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
        Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
        Kind("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles", namespaced=False),
        Kind("Service", "v1", "services"),
        Kind("Pod", "v1", "pods"),
        Kind("VirtualService", "networking.istio.io/v1", "virtualservices"),
        Kind("Gateway", "networking.istio.io/v1", "gateways"),
        Kind("PeerAuthentication", "security.istio.io/v1", "peerauthentications"),
        Kind("RequestAuthentication", "security.istio.io/v1", "requestauthentications"),
        Kind("AuthorizationPolicy", "security.istio.io/v1", "authorizationpolicies"),
        Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    )
} | {
    # The name of this kind is taken by another one.
    GATEWAY_API: Kind("Gateway", "gateway.networking.k8s.io/v1", "gateways"),
}


def _is_possible(name: str) -> bool:
    """Return whether an object can have this name. Otherwise it could change the path of a call: a
    record that was changed by hand may contain it.

    The API server has the same rule, in `IsValidPathSegmentName`, and forbids `?` and `#` in the names of
    all kinds that Tenantry reads.
    """
    return bool(name) and name not in (".", "..") and not set(name) & set("/%?#")


def _kind_of(manifest: Object) -> Kind:
    named = (manifest["kind"], manifest["apiVersion"])
    return next(kind for kind in KINDS.values() if (kind.kind, kind.api_version) == named)


class KubernetesClient:
    """The connection to one API server. Safe to use from many threads.

    Every method raises SystemRefused if the server refuses the call, and SystemUnavailable if the
    server does not answer or cannot handle the call now.
    """

    def __init__(self, cluster: Cluster) -> None:
        # Imported here, because the official client takes a while to load.
        from tenantry.systems.kubernetes.connection import Connection

        self._uid = ""
        self._reading_uid = threading.Lock()
        self._connection = Connection(cluster)
        self.host = self._connection.host
        self._breaker = CircuitBreaker("kubernetes")

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def version(self) -> str:
        """Return the version of the server, such as `v1.37.2`."""
        return str(retry_read(lambda: self._call("GET", "/version"))["gitVersion"])

    def uid(self) -> str:
        """Return the id of the cluster, which is the UID of its namespace `kube-system`. It is read
        once.

        Raises:
            TenantryError: it cannot be read.
        """
        with self._reading_uid:
            if not self._uid:
                found = self.get("Namespace", "kube-system")
                if found is None:
                    call = "GET /api/v1/namespaces/kube-system"
                    why = "there is no such namespace"
                    raise SystemRefused("kubernetes", call, why, status=404)
                self._uid = str(found["metadata"]["uid"])
            return self._uid

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return an object; None if it does not exist."""
        if not (_is_possible(name) and _is_possible(namespace or name)):
            return None
        path = KINDS[kind].path(namespace, name)
        with ignore_missing():
            return checked(retry_read(lambda: self._call("GET", path)), f"GET {path}")
        return None

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        content: bool = True,
        **selectors: Any,
    ) -> Iterator[Object]:
        """Yield all objects of a kind, in one namespace or in all, in pages of 500.

        Args:
            kind: the kind.
            namespace: the namespace; all namespaces if it is not given.
            content: read the whole objects; otherwise their metadata only.
            selectors: `labelSelector` and `fieldSelector`.
        """
        for _ in range(_RESTARTS):
            try:
                yield from self._pages(kind, namespace, content, selectors)
                return
            except _Expired as error:
                expired = error
        raise SystemUnavailable(
            "kubernetes",
            expired.call,
            f"the list changed faster than it could be read, {_RESTARTS} times in a row",
            status=410,
        )

    def _pages(
        self, kind: str, namespace: str | None, content: bool, selectors: Mapping[str, Any]
    ) -> builtins.list[Object]:
        """Return all pages of a list. None is handed on before the last one has come.

        Raises:
            _Expired: the server no longer has the state that the list began with.
        """
        path = KINDS[kind].path(namespace)
        call = f"GET {path}"
        accept = _JSON if content else _METADATA
        found: builtins.list[Object] = []
        more: str | None = ""
        while more is not None:
            query = {"limit": str(_PAGE), **selectors} | ({"continue": more} if more else {})

            def page(query: dict[str, str] = query) -> Answer:
                return self._call("GET", path, query, accept=accept)

            try:
                answer = retry_read(page)
            except SystemRefused as error:
                if error.status == 410 and more:
                    raise _Expired(call) from None
                raise
            if not str(answer.get("kind", "")).endswith("List"):
                raise InvalidResponse("kubernetes", call, "the answer is not a list of objects")
            items = many(answer.get("items") or [], "kubernetes", call)
            found += [checked(item, call) for item in items]
            more = one(answer["metadata"], "kubernetes", call).get("continue") or None
        return found

    def apply(self, manifest: Object, *, force: bool) -> Object:
        """Apply an object by server-side apply, and return it.

        Args:
            manifest: the fields that Tenantry sets.
            force: take over fields that other managers own. Only for objects that are Tenantry's.

        Raises:
            ChangedMeanwhile: another manager owns a field, and `force` is false.
        """
        metadata = manifest["metadata"]
        path = _kind_of(manifest).path(metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        with conflict_as_change():
            answer = self._call("PATCH", path, query, manifest, "application/apply-patch+yaml")
        return written(answer, f"PATCH {path}", manifest["kind"], metadata["name"])

    def merge(self, kind: str, name: str, namespace: str | None, body: Object) -> Object:
        """Send a merge patch, for the few fields that Tenantry shares with others, and return the
        object.

        Raises:
            ChangedMeanwhile: the body names a resourceVersion that is not the latest.
        """
        path = KINDS[kind].path(namespace, name)
        query = {"fieldManager": MANAGER}
        with conflict_as_change():
            answer = self._call("PATCH", path, query, body, "application/merge-patch+json")
        return written(answer, f"PATCH {path}", KINDS[kind].kind, name)

    def delete(self, kind: str, name: str, namespace: str | None, uid: str) -> None:
        """Delete the object with this UID. It is no error if it does not exist."""
        path = KINDS[kind].path(namespace, name)
        with ignore_missing():
            answer = self._call("DELETE", path, {}, {"preconditions": {"uid": uid}}, _JSON)
            # A Status, or the object itself while a finalizer keeps it.
            if answer.get("kind") not in ("Status", KINDS[kind].kind):
                reason = "the answer is not about the object"
                raise InvalidResponse("kubernetes", f"DELETE {path}", reason)

    def may(self, verb: str, kind: str, name: str) -> bool:
        """Return whether this account has a right on a cluster-wide object.

        If the API server refuses to answer, the result is true: the call itself will show it.
        """
        group = KINDS[kind].api_version.rpartition("/")[0]
        asked = {"group": group, "resource": KINDS[kind].plural, "verb": verb, "name": name}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            answer = retry_read(lambda: self._call("POST", path, {}, body, _JSON))
        except SystemRefused:
            return True
        return bool((answer.get("status") or {}).get("allowed", True))

    def what_blocks(self, namespace: str) -> builtins.list[str] | None:
        """Return what blocks the deletion of a namespace: its true conditions, and its finalizers.

        Returns:
            The texts, which contain names that a tenant chose; None if the namespace is gone.
        """
        live = self.get("Namespace", namespace)
        if live is None:
            return None
        status, metadata = live.get("status") or {}, live["metadata"]
        found = [
            f"{each.get('type')}: {each.get('message')}"
            for each in status.get("conditions") or ()
            if isinstance(each, dict) and each.get("status") == "True"
        ]
        return found + [f"the finalizer {name}" for name in metadata.get("finalizers") or ()]

    def wait_until_gone(self, namespace: str) -> None:
        """Wait until a namespace that is being deleted is gone, for two minutes at most."""
        deadline = time.monotonic() + _WAIT_FOR_NAMESPACE
        is_logged = False
        while (live := self.get("Namespace", namespace)) is not None:
            if live["status"].get("phase") != "Terminating":
                return
            if time.monotonic() > deadline:
                raise SystemUnavailable(
                    "kubernetes",
                    f"GET {KINDS['Namespace'].path(None, namespace)}",
                    f"the namespace has been Terminating for over {_WAIT_FOR_NAMESPACE:.0f} s",
                    advice="Its status.conditions name what keeps it.",
                )
            if not is_logged:
                text = "Namespace '%s' is being deleted: waiting up to %.0f s until it is gone."
                _LOG.info(text, namespace, _WAIT_FOR_NAMESPACE)
                is_logged = True
            time.sleep(0.5)

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str | None = None,
        accept: str = _JSON,
    ) -> Answer:
        headers = {"Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        call = f"{method} {path}"
        with self._breaker.guard(call):
            answer, request = self._connection.call(method, path, query or {}, headers, body)
        return result(method, call, answer, request)


class _Expired(Exception):
    """The server no longer has the state of a continue token."""

    def __init__(self, call: str) -> None:
        self.call = call
