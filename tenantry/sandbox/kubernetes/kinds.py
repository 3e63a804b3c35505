"""The kinds of the API server."""

import json
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
Fields = dict[str, type]


def copy_json(value: JSON) -> JSON:
    """Return a deep copy of a JSON object."""
    copied: JSON = json.loads(json.dumps(value))
    return copied


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of object.

    `fields` are the top-level fields except apiVersion, kind and metadata; `spec` are the fields of
    the spec. If `spec` is empty, the spec is not checked.
    """

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    fields: Fields = field(default_factory=lambda: {"spec": dict, "status": dict})
    spec: Fields = field(default_factory=dict)
    counts_generations: bool = False
    shown_when_deleted: bool = False

    @property
    def api_version(self) -> str:
        """The apiVersion of objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name in messages of the server."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def full_name(self) -> str:
        """The name in messages about invalid objects."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition defines the kind."""
        return self.group.endswith("istio.io") or self.group.startswith("gateway.")


RBAC = "rbac.authorization.k8s.io"
NETWORKING = "networking.istio.io"
SECURITY = "security.istio.io"
GATEWAYS = "gateway.networking.k8s.io"

_RULES: Fields = {"rules": list}
_BINDING: Fields = {"roleRef": dict, "subjects": list}
_TARGETED: Fields = {"selector": dict, "targetRef": dict, "targetRefs": list}


def _core(name: str, plural: str, *short: str, **more: Any) -> Kind:
    return Kind("", "v1", name, plural, short=short, **more)


def _istio(group: str, name: str, plural: str, spec: Fields, *short: str) -> Kind:
    return Kind(group, "v1", name, plural, short=short, spec=spec, counts_generations=True)


KINDS = [
    _core(
        "Namespace",
        "namespaces",
        "ns",
        namespaced=False,
        spec={"finalizers": list},
    ),
    _core(
        "Secret",
        "secrets",
        fields={"data": dict, "stringData": dict, "type": str, "immutable": bool},
    ),
    _core(
        "ConfigMap",
        "configmaps",
        "cm",
        fields={"data": dict, "binaryData": dict, "immutable": bool},
    ),
    _core(
        "ServiceAccount",
        "serviceaccounts",
        "sa",
        fields={"secrets": list, "imagePullSecrets": list, "automountServiceAccountToken": bool},
        shown_when_deleted=True,
    ),
    _core(
        "ResourceQuota",
        "resourcequotas",
        "quota",
        spec={"hard": dict, "scopes": list, "scopeSelector": dict},
        shown_when_deleted=True,
    ),
    _core("LimitRange", "limitranges", "limits", fields={"spec": dict}, spec={"limits": list}),
    _core("Service", "services", "svc", shown_when_deleted=True),
    _core("Pod", "pods", "po", shown_when_deleted=True),
    Kind(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        short=("netpol",),
        fields={"spec": dict},
        spec={"podSelector": dict, "ingress": list, "egress": list, "policyTypes": list},
        counts_generations=True,
    ),
    Kind(RBAC, "v1", "Role", "roles", fields=_RULES),
    Kind(RBAC, "v1", "RoleBinding", "rolebindings", fields=_BINDING),
    Kind(
        RBAC,
        "v1",
        "ClusterRole",
        "clusterroles",
        namespaced=False,
        fields={**_RULES, "aggregationRule": dict},
    ),
    Kind(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", False, fields=_BINDING),
    Kind(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        False,
        ("crd", "crds"),
        counts_generations=True,
    ),
    _istio(
        NETWORKING,
        "VirtualService",
        "virtualservices",
        {
            "hosts": list,
            "gateways": list,
            "http": list,
            "tls": list,
            "tcp": list,
            "exportTo": list,
        },
        "vs",
    ),
    _istio(
        NETWORKING,
        "Gateway",
        "gateways",
        {"servers": list, "selector": dict},
        "gw",
    ),
    _istio(
        NETWORKING,
        "DestinationRule",
        "destinationrules",
        {
            "host": str,
            "trafficPolicy": dict,
            "subsets": list,
            "exportTo": list,
            "workloadSelector": dict,
        },
        "dr",
    ),
    _istio(
        NETWORKING,
        "ServiceEntry",
        "serviceentries",
        {
            "hosts": list,
            "addresses": list,
            "ports": list,
            "location": str,
            "resolution": str,
            "endpoints": list,
            "workloadSelector": dict,
            "exportTo": list,
            "subjectAltNames": list,
        },
        "se",
    ),
    _istio(
        SECURITY,
        "PeerAuthentication",
        "peerauthentications",
        {"selector": dict, "mtls": dict, "portLevelMtls": dict},
        "pa",
    ),
    _istio(
        SECURITY,
        "RequestAuthentication",
        "requestauthentications",
        {**_TARGETED, "jwtRules": list},
        "ra",
    ),
    _istio(
        SECURITY,
        "AuthorizationPolicy",
        "authorizationpolicies",
        {**_TARGETED, "rules": list, "action": str, "provider": dict},
        "ap",
    ),
    _istio(
        GATEWAYS,
        "HTTPRoute",
        "httproutes",
        {"parentRefs": list, "hostnames": list, "rules": list, "useDefaultGateways": str},
    ),
    _istio(
        GATEWAYS,
        "Gateway",
        "gateways",
        {
            "gatewayClassName": str,
            "listeners": list,
            "addresses": list,
            "infrastructure": dict,
            "allowedListeners": dict,
            "tls": dict,
            "defaultScope": str,
        },
        "gtw",
    ),
]

BUILT_IN = {kind.group for kind in KINDS if not kind.custom}
BY_RESOURCE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_NAME = {(kind.group, kind.name): kind for kind in KINDS}
NAMESPACE = _BY_NAME["", "Namespace"]
SERVICE_ACCOUNT = _BY_NAME["", "ServiceAccount"]


def kind_named(name: str, group: str | None = None) -> Kind:
    """Return the kind of this name; `group` is needed if two groups have one.

    Raises:
        LookupError: the sandbox has no such kind.
    """
    for kind in KINDS:
        if kind.name == name and group in (None, kind.group):
            return kind
    raise LookupError(f"the sandbox's Kubernetes has no kind {name}")


def kind_of(manifest: JSON) -> Kind:
    """Return the kind of an object."""
    group = manifest["apiVersion"].rpartition("/")[0]
    return kind_named(manifest["kind"], group)


def definition(kind: Kind) -> JSON:
    """Return the CustomResourceDefinition of a kind."""
    names = {
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "shortNames": list(kind.short),
    }
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [version],
            "conversion": {"strategy": "None"},
        },
        "status": {
            "acceptedNames": names,
            "storedVersions": [kind.version],
            "conditions": [
                {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts"},
                {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"},
            ],
        },
    }
