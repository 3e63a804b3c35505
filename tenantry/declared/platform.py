"""What is declared once for the whole platform."""

from tenantry.declared.single_sign_on import ExternalProvider, PlatformGroup, Realm, SingleSignOn
from tenantry.declared.team import Adopt, TeamSettings
from tenantry.declared.types import (
    Alias,
    GatewayName,
    GroupName,
    Key,
    Label,
    Model,
    ProfileName,
    SettingName,
)


class PlatformHarbor(Model):
    """Harbor, as far as all teams share it."""

    registry: str | None = None
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

    realm: str = "platform"
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
    dns_namespace: str = "kube-system"
    """Where the cluster's DNS runs."""
    dns_labels: dict[Key, Label] = {"k8s-app": "kube-dns"}
    """Labels of the cluster's DNS pods."""


class PlatformMesh(Model):
    """Istio, as far as all teams share it."""

    control_plane_namespace: str = "istio-system"
    """Where istiod runs."""
    gateway_namespace: str = "istio-ingress"
    """Where the ingress gateway's pods run."""
    gateway: GatewayName = "istio-ingress/public"
    """The Gateway that routes are bound to, as `namespace/name`."""


class Platform(Model):
    """The installation-wide declared state: `platform.yaml`."""

    name: str = "platform"
    """How people call the platform."""
    harbor: PlatformHarbor = PlatformHarbor()
    """Harbor."""
    keycloak: PlatformKeycloak = PlatformKeycloak()
    """Keycloak."""
    kubernetes: PlatformKubernetes = PlatformKubernetes()
    """Kubernetes."""
    mesh: PlatformMesh = PlatformMesh()
    """Istio."""
    adopt: Adopt = "never"
    """What to do with something of the platform's own that exists and that Tenantry did not make:
    leave it alone and say so, take it over if it is exactly as declared, or take it over and
    change it."""
    defaults: TeamSettings = TeamSettings()
    """What each team gets unless it says otherwise."""
    profiles: dict[ProfileName, TeamSettings] = {}
    """Defaults for sorts of teams, by name; a team picks one with `profile`. They go before
    `defaults`."""

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
        )

    @property
    def told(self) -> str:
        """What it is called in a message."""
        return "the platform"
