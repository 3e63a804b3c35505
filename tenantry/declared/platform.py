"""The fields of `platform.yaml`."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from tenantry.declared.adopt import NEVER, Adopt
from tenantry.declared.drift import Drift
from tenantry.declared.harbor_values import Registry, SettingName
from tenantry.declared.keycloak_values import Alias, RealmName
from tenantry.declared.kubernetes_values import (
    GatewayName,
    Host,
    Key,
    Label,
    NamespaceName,
    ObjectName,
    Revision,
    ServiceName,
)
from tenantry.declared.names import NamePatterns
from tenantry.declared.offboarding import PlatformOffboarding
from tenantry.declared.policy import Policy
from tenantry.declared.single_sign_on import (
    ExternalProvider,
    Issuer,
    PlatformGroup,
    Realm,
    SingleSignOn,
)
from tenantry.declared.team import TeamSettings
from tenantry.declared.types import WHOLE, GroupName, Model, ProfileName, fits

PlatformId = Annotated[
    str,
    *fits(
        r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?",
        "1 to 63 lower-case letters, digits, dots and dashes, with a letter or digit at both ends",
    ),
]


class PlatformHarbor(Model):
    """The Harbor settings that all teams share."""

    registry: Registry | None = None
    """The registry host (and port) in image names, which the pull Secrets apply to. The default is
    Harbor's own `registry_url`."""
    single_sign_on: SingleSignOn | None = None
    """Harbor's login through the Keycloak realm. If not given, Tenantry does not configure it."""
    configuration: dict[SettingName, bool | int | str] = {}
    """Further Harbor settings, by their names in the configuration API, such as
    `robot_token_duration: 90`. If `single_sign_on` is given, the default of
    `project_creation_restriction` is `adminonly`."""


class PlatformKeycloak(Model):
    """The Keycloak settings that all teams share."""

    realm: RealmName = "platform"
    """The realm of the teams' groups and clients. It must exist unless `realm_settings` is
    given."""
    realm_settings: Realm | None = None
    """The realm's settings. If given, Tenantry creates the realm if it does not exist. If not
    given, Tenantry does not change the realm."""
    groups: dict[GroupName, PlatformGroup] = {}
    """Groups of the platform's own users, by name. They are top-level groups."""
    parent_group: GroupName | None = None
    """The top-level parent of the teams' groups. If not given, the teams' groups are top-level
    groups. The groups claim contains the leaf names in both cases."""
    external_providers: dict[Alias, ExternalProvider] = {}
    """External identity providers by their alias in the realm."""


class PlatformKubernetes(Model):
    """The cluster settings that all teams share."""

    group_prefix: str = ""
    """The API server's prefix of OIDC group names (`--oidc-groups-prefix`)."""
    dns_namespace: NamespaceName = "kube-system"
    """The namespace of the cluster's DNS."""
    dns_labels: dict[Key, Label] = {"k8s-app": "kube-dns"}
    """The labels of the cluster's DNS pods."""


RouteKind = Literal["VirtualService", "HTTPRoute"]
"""The kind of a route: Istio's, or the Gateway API's."""


Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
"""A port number."""


class ServicePort(Model):
    """A Service and its port."""

    service: ServiceName
    """The Service."""
    port: Port = 80
    """Its port."""


class PortalTokens(Model):
    """The validation of the realm's tokens in front of Harbor's portal.

    Harbor's core, and therefore docker, never needs a token.
    """

    required: bool = False
    """Reject requests to the portal without a token. Use it only if the platform's gateway logs
    users in and forwards their token; a browser alone sends none."""
    audiences: list[Label] = []
    """The accepted audiences of a token; all if not given."""
    other_issuers: list[Issuer] = []
    """Further accepted issuers, such as the previous issuer during a migration."""


AppProtocol = Literal["http", "http2", "https", "grpc", "grpc-web", "tcp", "tls", "redis"]
"""The protocols that the mesh can use for a port."""


class HarborInMesh(Model):
    """The routes and the security policies of Harbor in the mesh."""

    namespace: NamespaceName = "harbor"
    """Harbor's namespace."""
    host: Host
    """The host name that browsers and docker use."""
    core: ServicePort = ServicePort(service="harbor-core")
    """The Service of Harbor's core. The default is its name in the Helm chart."""
    portal: ServicePort = ServicePort(service="harbor-portal")
    """The Service of Harbor's portal. The default is its name in the Helm chart."""
    gateway: GatewayName | None = None
    """The Gateway of the routes, such as `istio-ingress/registry`. The default is the platform's
    Gateway."""
    kind: RouteKind | None = None
    """The kind of the routes. The default is the platform's kind."""
    inject: StrictBool | Revision = True
    """Label the namespace for sidecar injection: true, false (do not change the label), or the name
    of a revision."""
    strict_mtls: bool = True
    """Accept only mesh traffic (STRICT mTLS) in the namespace. Tenantry applies it once all pods
    have a sidecar."""
    portal_tokens: PortalTokens | None = None
    """The token validation in front of the portal. If not given, the mesh validates no tokens."""
    app_protocols: dict[ServiceName, dict[Port, AppProtocol]] = {}
    """The `appProtocol` of ports whose names in Harbor's chart do not tell the mesh their protocol,
    by Service and port, such as `harbor-redis: {6379: tcp}`. The port names do not change."""


class DeclaredGateway(Model):
    """A Gateway that Tenantry creates."""

    hosts: Annotated[list[Host], Field(min_length=1)]
    """The host names of the Gateway."""
    certificate: ObjectName
    """The Secret with the certificate. For `istio` it is in the namespace of the gateway's pods,
    for `gateway-api` in the Gateway's own namespace."""
    selector: dict[Key, Label] = {"istio": "ingress"}
    """The labels of the gateway's pods."""
    api: Literal["istio", "gateway-api"] = "istio"
    """The API that the Gateway belongs to."""
    gateway_class: ObjectName = "istio"
    """The GatewayClass (Gateway API only)."""


class PlatformMesh(Model):
    """The Istio settings that all teams share."""

    control_plane_namespace: NamespaceName = "istio-system"
    """The namespace of istiod."""
    gateway_namespace: NamespaceName = "istio-ingress"
    """The namespace of the ingress gateway's pods."""
    gateway: GatewayName = "istio-ingress/public"
    """The default Gateway of routes, in the form `namespace/name`."""
    route_kind: RouteKind = "VirtualService"
    """The default kind of routes."""
    gateways: dict[GatewayName, DeclaredGateway] = {}
    """Gateways that Tenantry creates, by `namespace/name`, such as
    `istio-ingress/public: {hosts: ["*.apps.example.com"], certificate: apps-tls}`. Other Gateways must
    exist."""
    harbor: HarborInMesh | None = None
    """Harbor's routes and policies in the mesh. If not given, Tenantry does not manage them."""


class PlatformRotation(Model):
    """The rotation settings that all teams share."""

    most_per_run: Annotated[int, Field(ge=1), WHOLE] = 200
    """The maximum number of credentials that one run rotates. The most urgent come first; the next
    run rotates the others."""


class Platform(Model):
    """The installation-wide declared state: `platform.yaml`."""

    name: str = "platform"
    """The platform's name for people."""
    id: PlatformId | None = None
    """The platform's id in the ownership marks on its resources: letters, digits, dots and dashes.
    The default is the UID of the namespace `kube-system` of the home cluster. Give an id if the
    cluster may be created again, or if several platforms share a cluster."""
    harbor: PlatformHarbor = PlatformHarbor()
    """Harbor."""
    keycloak: PlatformKeycloak = PlatformKeycloak()
    """Keycloak."""
    kubernetes: PlatformKubernetes = PlatformKubernetes()
    """Kubernetes."""
    mesh: PlatformMesh = PlatformMesh()
    """Istio."""
    rotation: PlatformRotation = PlatformRotation()
    """The rotation of robots' credentials."""
    offboarding: PlatformOffboarding = PlatformOffboarding()
    """The offboarding of teams."""
    drift: Drift = Drift()
    """Findings of all teams that the drift report ignores."""
    adopt: Adopt = NEVER
    """Whether to adopt an existing platform resource that Tenantry did not create: `never` (report
    it), `if-identical` (only if it matches the declaration), or `yes` (and update it); or one of
    these for each system."""
    names: NamePatterns = NamePatterns()
    """The patterns of the names of the teams' objects."""
    defaults: TeamSettings = TeamSettings()
    """Defaults for all teams."""
    profiles: dict[ProfileName, TeamSettings] = {}
    """Defaults for classes of teams, by name. A team selects one with `profile`. They override
    `defaults`."""
    policy: Policy = Policy()
    """The limits on what a team file, or a call that onboards a team, may declare. Values of
    `defaults` and `profiles` need no exception from it."""

    @property
    def is_managed(self) -> bool:
        """Whether the platform declares any resources of its own."""
        providers = self.keycloak.external_providers.values()
        return bool(
            self.harbor.single_sign_on
            or self.harbor.configuration
            or self.keycloak.realm_settings
            or self.keycloak.groups
            or any(provider.connection for provider in providers)
            or self.mesh.gateways
            or self.mesh.harbor
        )

    @property
    def label(self) -> str:
        """The platform as messages name it."""
        return "the platform"
