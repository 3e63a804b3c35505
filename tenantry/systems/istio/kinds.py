"""The kinds of resources of the mesh: routes, Gateways, and other objects that Istio reads."""

from tenantry.declared import Team
from tenantry.declared.faults import Place
from tenantry.kinds import Kind
from tenantry.systems.kubernetes.kinds import GATEWAY_API, NAMESPACE


def _route(team: Team, key: str, field: str) -> Place:
    return ("routes", key.split("/")[-1])


def _harbor(key: str) -> Place:
    return ("mesh", "harbor")


def _declared_gateway(key: str) -> Place:
    return ("mesh", "gateways", key)


def _policy(name: str) -> Kind:
    """Return a kind that controls which requests or connections are accepted."""
    return Kind(
        "istio",
        name,
        "Istio",
        removal="at once",
        needed_for_access=True,
        access_fields=("spec*",),
        container=NAMESPACE,
        revocation="delete",
        removal_step="Kubernetes",
        place=_route,
        platform_place=_harbor,
    )


def _gateway(name: str) -> Kind:
    return Kind(
        "istio",
        name,
        "Istio",
        needed_for_access=True,
        place=_route,
        platform_place=_declared_gateway,
    )


VIRTUAL_SERVICE = _policy("VirtualService")
HTTP_ROUTE = _policy("HTTPRoute")
PEER_AUTHENTICATION = _policy("PeerAuthentication")
REQUEST_AUTHENTICATION = _policy("RequestAuthentication")
AUTHORIZATION_POLICY = _policy("AuthorizationPolicy")
GATEWAY = _gateway("Gateway")
GATEWAY_API_GATEWAY = _gateway(GATEWAY_API)
INJECTION = Kind("istio", "injection", "Istio", place=_route, platform_place=_harbor)
"""The label of Harbor's namespace that turns on the injection of sidecars."""
APP_PROTOCOL = Kind(
    "istio",
    "appProtocol",
    "Istio",
    removal="at once",
    place=_route,
    platform_place=_harbor,
)
PORTAL_PODS = Kind("istio", "portal's pods", place=_route, platform_place=_harbor)
