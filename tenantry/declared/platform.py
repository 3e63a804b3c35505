"""What is declared once for the whole platform."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool

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
from tenantry.declared.policy import Policy
from tenantry.declared.single_sign_on import (
    ExternalProvider,
    Issuer,
    PlatformGroup,
    Realm,
    SingleSignOn,
)
from tenantry.declared.team import Adopt, TeamSettings
from tenantry.declared.types import WHOLE, GroupName, Model, ProfileName, fits

PlatformId = Annotated[
    str,
    *fits(
        r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?",
        "1 to 63 lower-case letters, digits, dots and dashes, with a letter or digit at both ends",
    ),
]


class PlatformHarbor(Model):
    """Harbor, as far as all teams share it."""

    registry: Registry | None = None
    """Host (and port) that image names begin with, and so what the pull Secrets are for. Harbor's
    own word (`registry_url`) if not given."""
    single_sign_on: SingleSignOn | None = None
    """Logins through the realm. Nothing of it is configured if not given."""
    configuration: dict[SettingName, bool | int | str] = {}
    """Harbor's further settings, by the names of its configuration API, such as
    `robot_token_duration: 90`. Project creation is for administrators only where `single_sign_on`
    is given and nothing else is said here."""


class PlatformKeycloak(Model):
    """Keycloak, as far as all teams share it."""

    realm: RealmName = "platform"
    """The realm that the teams' groups and clients live in. It must exist unless
    `realm_settings` are given."""
    realm_settings: Realm | None = None
    """What the realm is to be. The realm is made if there is none; without this, it is left
    alone."""
    groups: dict[GroupName, PlatformGroup] = {}
    """Groups of the platform's own people, by name. They are top-level."""
    parent_group: GroupName | None = None
    """A top-level group that the teams' groups are kept under; they are top-level themselves if
    not given. The groups claim carries leaf names either way."""
    external_providers: dict[Alias, ExternalProvider] = {}
    """External identity providers by their alias in the realm."""


class PlatformKubernetes(Model):
    """The cluster, as far as all teams share it."""

    group_prefix: str = ""
    """What the API server puts before OIDC group names (its `--oidc-groups-prefix`)."""
    dns_namespace: NamespaceName = "kube-system"
    """Where the cluster's DNS runs."""
    dns_labels: dict[Key, Label] = {"k8s-app": "kube-dns"}
    """Labels of the cluster's DNS pods."""


RouteKind = Literal["VirtualService", "HTTPRoute"]
"""Istio's own kind of route, or that of the Gateway API."""


Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
"""A port's number."""


class ServicePort(Model):
    """A Service, and the port that answers."""

    service: ServiceName
    """The Service."""
    port: Port = 80
    """Its port."""


class PortalTokens(Model):
    """Tokens of the realm's at Harbor's portal. Core, and so docker, is never asked for one."""

    required: bool = False
    """Let nobody reach the portal without one. For a platform whose gateway logs people in itself
    and passes their token on; a browser alone sends none."""
    audiences: list[Label] = []
    """Whom a token must be for; anybody if not given."""
    other_issuers: list[Issuer] = []
    """Further issuers whose tokens are taken: while people move to another one, the former."""


AppProtocol = Literal["http", "http2", "https", "grpc", "grpc-web", "tcp", "tls", "redis"]
"""What the mesh can take a port for."""


class HarborInMesh(Model):
    """Harbor's place in the mesh: its routes, and what guards it."""

    namespace: NamespaceName = "harbor"
    """The namespace that Harbor runs in."""
    host: Host
    """The host name that browsers and docker use."""
    core: ServicePort = ServicePort(service="harbor-core")
    """The Service of Harbor's core, as the Helm chart calls it."""
    portal: ServicePort = ServicePort(service="harbor-portal")
    """The Service of Harbor's portal."""
    gateway: GatewayName | None = None
    """The Gateway of the routes, as `namespace/name`; the platform's if not given."""
    kind: RouteKind | None = None
    """The kind of the routes; the platform's if not given."""
    inject: StrictBool | Revision = True
    """Label the namespace for injection of the sidecar: true, false (leave it alone), or the name
    of a revision."""
    strict_mtls: bool = True
    """Let pods of the namespace be reached through the mesh only. Waits until all of them have a
    sidecar."""
    portal_tokens: PortalTokens | None = None
    """Have the mesh look at tokens that reach the portal. It looks at none if not given."""
    app_protocols: dict[ServiceName, dict[Port, AppProtocol]] = {}
    """Protocols of ports that Harbor's chart names as the mesh does not know them, or not at all:
    by Service and port, such as `harbor-redis: {6379: tcp}`. The port's name stays the chart's."""


class DeclaredGateway(Model):
    """A Gateway that Tenantry makes."""

    hosts: Annotated[list[Host], Field(min_length=1)]
    """Host names that it takes traffic for."""
    certificate: ObjectName
    """The Secret with the certificate: in the gateway's pods' namespace (Gateway) or in its own
    (Gateway API)."""
    selector: dict[Key, Label] = {"istio": "ingress"}
    """Labels of the gateway's pods."""
    api: Literal["istio", "gateway-api"] = "istio"
    """Whose kind of Gateway."""
    gateway_class: ObjectName = "istio"
    """The GatewayClass, of the Gateway API only."""


class PlatformMesh(Model):
    """Istio, as far as all teams share it."""

    control_plane_namespace: NamespaceName = "istio-system"
    """Where istiod runs."""
    gateway_namespace: NamespaceName = "istio-ingress"
    """Where the ingress gateway's pods run."""
    gateway: GatewayName = "istio-ingress/public"
    """The Gateway that routes are bound to, as `namespace/name`."""
    route_kind: RouteKind = "VirtualService"
    """The kind of routes that say nothing else."""
    gateways: dict[GatewayName, DeclaredGateway] = {}
    """Gateways that Tenantry makes, by `namespace/name`; all others must exist."""
    harbor: HarborInMesh | None = None
    """Harbor's place in the mesh. Nothing of it is touched if not given."""


class PlatformRotation(Model):
    """The rotation of robots' credentials, as far as all teams share it."""

    most_per_run: Annotated[int, Field(ge=1), WHOLE] = 200
    """How many credentials one run exchanges at most. The most urgent come first, the rest is for
    the next run."""


class Platform(Model):
    """The installation-wide declared state: `platform.yaml`."""

    name: str = "platform"
    """How people call the platform."""
    id: PlatformId | None = None
    """Whose objects are this platform's, in every mark: letters, digits, dots and dashes. The UID of
    the namespace `kube-system` of the home cluster if not given. Give one if the cluster may be
    created again, or if several platforms share a cluster."""
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
    drift: Drift = Drift()
    """What the drift report leaves out, of any team."""
    adopt: Adopt = "never"
    """What to do with something of the platform's own that exists and that Tenantry did not make:
    leave it alone and say so, take it over if it is exactly as declared, or take it over and
    change it."""
    defaults: TeamSettings = TeamSettings()
    """What each team gets unless it says otherwise."""
    profiles: dict[ProfileName, TeamSettings] = {}
    """Defaults for sorts of teams, by name; a team picks one with `profile`. They go before
    `defaults`."""
    policy: Policy = Policy()
    """The limits on what a team file, or a call that onboards a team, may declare. Values of
    `defaults` and `profiles` need no exception from it."""

    @property
    def is_managed(self) -> bool:
        """Whether anything of the platform's own is declared, so that there is something to do."""
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
        """What it is called in a message."""
        return "the platform"
