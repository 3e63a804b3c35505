"""The adapter for the platform's own resources in the mesh: Gateways, and Harbor behind them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tenantry.declared import Declaration, Platform
from tenantry.declared.platform import DeclaredGateway, HarborInMesh
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.marks import Marks
from tenantry.plan import Change
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.istio import kinds, ports
from tenantry.systems.istio.routes import Backend, Rule, spec
from tenantry.systems.istio.tokens import NAME, rules
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.kinds import NAMESPACE

_NAME = "harbor"
_CORE = ("/api/", "/c/", "/service/", "/v2/")
_OLD_CORE = ("/v1/", "/chartrepo/")
_OLD_PATHS_UNTIL = (2, 8)
"""The first version of Harbor without charts, whose own proxy answers `/v1/` with 404."""
_ROUTES = {kind.name: kind for kind in (kinds.VIRTUAL_SERVICE, kinds.HTTP_ROUTE)}
_TOKENS = (kinds.AUTHORIZATION_POLICY, kinds.REQUEST_AUTHENTICATION)
"""In the order in which they can be deleted."""
_SIDECAR = "istio-proxy"
_NAMED = 3


class IstioPlatform:
    """The adapter for Gateways, and for Harbor in the mesh."""

    name = "Istio"
    system = "istio"
    kinds = frozenset(
        {
            kinds.GATEWAY,
            kinds.GATEWAY_API_GATEWAY,
            kinds.INJECTION,
            kinds.APP_PROTOCOL,
            kinds.PEER_AUTHENTICATION,
            *_ROUTES.values(),
            *_TOKENS,
        }
    )

    def __init__(
        self,
        clusters: Clusters,
        harbor: HarborClient,
        state: Declaration,
        marks: Marks,
        issuer: Callable[[], str],
    ) -> None:
        """
        Args:
            clusters: the connections to the clusters; Harbor's namespace is in the home cluster.
            harbor: provides Harbor's version.
            state: the declared state.
            marks: the platform's marks.
            issuer: returns the realm's issuer, as the realm states it.
        """
        self._clusters = clusters
        self._client = clusters.home
        self._marks = marks
        self._harbor = harbor
        self._mesh = state.platform.mesh
        self._issuer = issuer

    # Desired

    def desired(self, owner: Platform, observed: Observed) -> list[Resource]:
        """Return Gateways first, and last the rules that reject workloads outside the mesh."""
        wanted = [_gateway(self._marks, key, each) for key, each in self._mesh.gateways.items()]
        if harbor := self._mesh.harbor:
            wanted += [
                *self._harbors(harbor),
                *_tokens(self._marks, harbor, self._issuer, observed),
                *ports.desired(harbor.namespace, harbor.app_protocols),
            ]
        return wanted

    def _harbors(self, declared: HarborInMesh) -> Iterator[Resource]:
        namespace = Id(NAMESPACE, declared.namespace)
        if declared.inject is not False:
            key, value = _label(declared)
            id = Id(kinds.INJECTION, declared.namespace)
            yield Resource(id, {key: value}, depends_on=(namespace,))
        kind = declared.kind or self._mesh.route_kind
        gateway = declared.gateway or self._mesh.gateway
        content = {"spec": spec(kind, declared.host, gateway, self._rules(declared))}
        yield _object(self._marks, _ROUTES[kind], _NAME, declared.namespace, content)
        if declared.strict_mtls:
            content = {"spec": {"mtls": {"mode": "STRICT"}}}
            yield _object(
                self._marks, kinds.PEER_AUTHENTICATION, "default", declared.namespace, content
            )

    def _rules(self, declared: HarborInMesh) -> list[Rule]:
        """Return the rules of Harbor's own proxy, which the Gateway replaces."""
        paths: tuple[str, ...] = _CORE
        if self._harbor.version() < _OLD_PATHS_UNTIL:
            paths += _OLD_CORE
        core, portal = declared.core, declared.portal
        return [
            Rule(("/service/notifications",), None),  # for Harbor's own jobs only
            Rule(paths, Backend(core.service, declared.namespace, core.port)),
            Rule(("/",), Backend(portal.service, declared.namespace, portal.port)),
        ]

    # Observed

    def observe(self, owners: Sequence[Platform], observed: Observed) -> Observed:
        """Return the platform's own resources in the cluster."""
        seen = Observed()
        for key, gateway in self._mesh.gateways.items():
            namespace, name = key.split("/", 1)
            found = self._client.get(_gateway_kind(gateway).name, name, namespace)
            if found is not None:
                foreign = self._marks.foreign(objects.mark_of(found), "")
                id = objects.id_of(_gateway_kind(gateway), name, namespace)
                seen.live[id] = objects.live(found, foreign)
        if self._mesh.harbor is not None:
            self._observe_harbors(self._mesh.harbor, seen)
        return seen

    def _observe_harbors(self, declared: HarborInMesh, seen: Observed) -> None:
        name = declared.namespace
        wanted = {resource.id.kind: resource.id for resource in self._harbors(declared)}
        namespace = self._client.get("Namespace", name)
        if namespace is None:
            tokens = (objects.id_of(kind, NAME, name) for kind in _TOKENS)
            services = (ports.id_of(name, service) for service in declared.app_protocols)
            for id in (*wanted.values(), *tokens, *services):
                seen.waiting[id] = f"there is no namespace '{name}'"
            return
        seen.live[Id(kinds.INJECTION, name)] = _injection(namespace, declared)
        seen.add(ports.observe(self._client, name, declared.app_protocols))
        if declared.portal_tokens:
            self._observe_portal(declared, seen)
        for kind in (*_ROUTES.values(), kinds.PEER_AUTHENTICATION, *_TOKENS):
            needed = kind in wanted or (kind in _TOKENS and declared.portal_tokens is not None)
            for found in self._list(kind.name, name, needed=needed):
                id = objects.id_of(kind, found["metadata"]["name"], name)
                live = objects.live(found)
                # In Harbor's namespace, an object with a mark that names no team is the platform's.
                seen.live[id] = replace(live, team=live.team or PLATFORM) if live.ours else live
        if declared.strict_mtls:
            bare = sorted(_without_sidecar(self._client.list("Pod", name)))
            if bare:
                more = f" and {len(bare) - _NAMED} more" if len(bare) > _NAMED else ""
                seen.waiting[wanted[kinds.PEER_AUTHENTICATION]] = (
                    f"pods without a sidecar would lose access: {', '.join(bare[:_NAMED])}{more}. "
                    "Restart them once the namespace is labelled for injection"
                )

    def _observe_portal(self, declared: HarborInMesh, seen: Observed) -> None:
        """Observe the labels of the portal's pods, as its Service selects them."""
        service, namespace = declared.portal.service, declared.namespace
        found = self._client.get("Service", service, namespace)
        selector = (found["spec"].get("selector") if found else None) or {}
        if selector:
            seen.live[_portal_id(declared)] = Live(selector)
            return
        reason = "selects no pods" if found else "is not there"
        for kind in _TOKENS:
            id = objects.id_of(kind, NAME, namespace)
            seen.waiting[id] = f"Service '{service}', which tells the portal's pods, {reason}"

    def _list(self, kind: str, namespace: str, *, needed: bool) -> Iterator[Object]:
        try:
            yield from self._client.list(kind, namespace)
        except SystemRefused as error:
            if error.status != 404 or needed:
                raise  # the kind is not installed

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.id.kind == kinds.INJECTION:
            labels = dict(change.resource.fields)
            body = {"metadata": {"labels": labels}}
            self._clusters.of(change.id).merge("Namespace", change.id.key, None, body)
        elif change.id.kind == kinds.APP_PROTOCOL:
            ports.apply(self._clusters.of(change.id), change)
        else:
            objects.apply(self._clusters.of(change.id), change)


def _tokens(
    marks: Marks, declared: HarborInMesh, issuer: Callable[[], str], observed: Observed
) -> Iterator[Resource]:
    if declared.portal_tokens is None:
        return
    portal = observed.live.get(_portal_id(declared))
    selector = portal.fields if portal else {}  # without it, both wait
    for kind, content in rules(declared.portal_tokens, issuer(), selector):
        yield _object(marks, kind, NAME, declared.namespace, {"spec": content})


def _portal_id(declared: HarborInMesh) -> Id:
    return Id(kinds.PORTAL_PODS, f"{declared.namespace}/{declared.portal.service}")


def _object(
    marks: Marks, kind: Kind, name: str, namespace: str, content: dict[str, Any]
) -> Resource:
    made = objects.resource(kind, name, None, content, marks, namespace=namespace)
    return replace(made, cluster_wide=False)


def _gateway_kind(declared: DeclaredGateway) -> Kind:
    return kinds.GATEWAY if declared.api == "istio" else kinds.GATEWAY_API_GATEWAY


def _gateway(marks: Marks, key: str, declared: DeclaredGateway) -> Resource:
    namespace, name = key.split("/", 1)
    if declared.api == "istio":
        server = {
            "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
            "hosts": list(declared.hosts),
            "tls": {"mode": "SIMPLE", "credentialName": declared.certificate},
        }
        content: dict[str, Any] = {
            "spec": {"selector": dict(declared.selector), "servers": [server]}
        }
    else:
        # Routes come from the namespaces of teams and of Harbor.
        reference = {"group": "", "kind": "Secret", "name": declared.certificate}
        listeners = [
            {
                "name": f"https-{number}",
                "hostname": host,
                "port": 443,
                "protocol": "HTTPS",
                "allowedRoutes": {"namespaces": {"from": "All"}},
                "tls": {"mode": "Terminate", "certificateRefs": [reference]},
            }
            for number, host in enumerate(declared.hosts)
        ]
        content = {"spec": {"gatewayClassName": declared.gateway_class, "listeners": listeners}}
    return _object(marks, _gateway_kind(declared), name, namespace, content)


def _label(declared: HarborInMesh) -> tuple[str, str]:
    if isinstance(declared.inject, str):
        return "istio.io/rev", declared.inject
    return "istio-injection", "enabled"


def _injection(namespace: Object, declared: HarborInMesh) -> Live:
    """Return the injection label. Another value of it is the decision of another person, and is
    kept."""
    labels = namespace["metadata"].get("labels") or {}
    key, value = _label(declared)
    there = labels.get(key)
    if key == "istio.io/rev" and labels.get("istio-injection"):
        reason = (
            "the namespace also has the label istio-injection, which takes precedence: remove it"
        )
        return Live({key: None}, read_only={key: reason})
    return Live({key: there}, ours=there in (None, value))


def _without_sidecar(pods: Iterator[Object]) -> Iterator[str]:
    for pod in pods:
        spec = pod.get("spec") or {}
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if not ended and _SIDECAR not in [container["name"] for container in containers]:
            yield str(pod["metadata"]["name"])
