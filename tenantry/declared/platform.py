"""What is declared once for the whole platform."""

from typing import Annotated

from pydantic import Field

from tenantry.declared.drift import Drift
from tenantry.declared.team import TeamSettings
from tenantry.declared.types import GatewayName, GroupName, Key, Label, Model, ProfileName


class PlatformHarbor(Model):
    """Harbor, as far as all teams share it."""

    registry: str | None = None
    """Host (and port) that image names begin with, and so what the pull Secrets are for. Harbor's
    own word (`registry_url`) if not given."""


class ExternalProvider(Model):
    """An external identity provider that Keycloak brokers to.

    For each team a mapper puts people into the team's group whose token from the
    provider names that group.
    """

    groups_claim: str = "groups"
    """The claim with the group names."""
    group_name: Annotated[str, Field(pattern=r"\{group\}")] = "{group}"
    """What the provider calls a team's group, with `{group}` for our name of it, such as
    `k8s-{group}-prod`."""
    ignore_case: bool = False
    """Whether the provider's spelling may differ in upper and lower case."""


class PlatformKeycloak(Model):
    """Keycloak, as far as all teams share it."""

    realm: str = "platform"
    """The realm that the teams' groups and clients live in. It must exist."""
    parent_group: GroupName | None = None
    """A top-level group that the teams' groups are kept under; they are top-level themselves if
    not given. The groups claim carries leaf names either way."""
    external_providers: dict[str, ExternalProvider] = {}
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


class PlatformRotation(Model):
    """The rotation of robots' credentials, as far as all teams share it."""

    most_per_run: Annotated[int, Field(ge=1)] = 200
    """How many credentials one run exchanges at most. The most urgent come first, the rest is for
    the next run."""


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
    rotation: PlatformRotation = PlatformRotation()
    """The rotation of robots' credentials."""
    drift: Drift = Drift()
    """What the drift report leaves out, of any team."""
    defaults: TeamSettings = TeamSettings()
    """What each team gets unless it says otherwise."""
    profiles: dict[ProfileName, TeamSettings] = {}
    """Defaults for sorts of teams, by name; a team picks one with `profile`. They go before
    `defaults`."""
