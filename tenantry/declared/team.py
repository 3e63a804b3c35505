"""The fields of a team file. Fields that are not set come from the platform's defaults."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from tenantry.declared.drift import Drift
from tenantry.declared.harbor_values import Access, Cron, Pattern
from tenantry.declared.keycloak_values import PostLogoutUri, RedirectUri, UserName, WebOrigin
from tenantry.declared.kubernetes_values import (
    ClusterRoleName,
    GatewayName,
    Host,
    Key,
    Label,
    Revision,
    ServiceName,
    SinkName,
    SinkNamespace,
)
from tenantry.declared.network_policies import NetworkPolicySpec
from tenantry.declared.quotas import Amounts, Quota
from tenantry.declared.types import (
    MAX_INT,
    WHOLE,
    ExternalNames,
    GroupName,
    Model,
    ProfileName,
    ShortName,
    StorageQuota,
    TeamName,
    fits,
)

Role = Literal["projectAdmin", "maintainer", "developer", "guest", "limitedGuest"]
"""Harbor's roles in a project."""

PodSecurity = Literal["privileged", "baseline", "restricted"]
Adopt = Literal["never", "if-identical", "yes"]


class RetentionRule(Model):
    """A rule that selects the tags that Harbor keeps. Give exactly one of the four counts."""

    latest_pushed: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the most recently pushed tags, this many."""
    latest_pulled: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the most recently pulled tags, this many."""
    pushed_within_days: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the tags that were pushed within this many days."""
    pulled_within_days: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the tags that were pulled within this many days."""
    repositories: Pattern = "**"
    """The repositories that the rule applies to, as a doublestar pattern."""
    tags: Pattern = "**"
    """The tags that the rule applies to, as a doublestar pattern."""
    untagged: bool = True
    """Whether artifacts without a tag are kept as well."""


class Retention(Model):
    """The project's tag-retention policy."""

    rules: list[RetentionRule] = Field(min_length=1, max_length=15)
    """The rules, at most 15. Harbor keeps a tag if at least one rule keeps it."""
    schedule: Cron | None = None
    """When Harbor applies the policy: five cron fields, in Harbor's time zone. Without a schedule
    Harbor applies it only on request."""


class ImmutableTags(Model):
    """A rule for tags that cannot be overwritten or deleted."""

    repositories: Pattern = "**"
    """The repositories that the rule applies to, as a doublestar pattern."""
    tags: Pattern = "**"
    """The tags that the rule applies to, as a doublestar pattern, such as `v*`."""


class HarborProject(Model):
    """The team's project in Harbor."""

    role: Role = "developer"
    """The role of the team's own OIDC group in the project."""
    groups: dict[GroupName, Role] = {}
    """Further OIDC groups and their roles, such as `all-teams-admin: projectAdmin`."""
    storage_quota: StorageQuota | None = None
    """The storage quota of the project, such as `10Gi` or `unlimited`. If not given, Tenantry does
    not change Harbor's quota."""
    public: bool = False
    """Whether images can be pulled without a login."""
    auto_scan: bool | None = None
    """Scan images for vulnerabilities when they are pushed."""
    prevent_vulnerable: bool | None = None
    """Block pulls of images with vulnerabilities of `severity` and above."""
    severity: Literal["none", "low", "medium", "high", "critical"] | None = None
    """The lowest severity for which `prevent_vulnerable` blocks pulls."""
    require_cosign: bool | None = None
    """Block pulls of images without a Cosign signature."""
    retention: Retention | None = None
    """The tag-retention policy."""
    immutable_tags: list[ImmutableTags] = []
    """Rules for tags that cannot be overwritten or deleted."""


EARLIEST_ROTATION = 0.75
"""The fraction of its maximum age from which on a credential can be due for rotation. The exact time
differs for each team."""


class Rotation(Model):
    """The rotation policy of a robot's credential."""

    max_age_days: Annotated[int, Field(ge=1, le=3650), WHOLE]
    """The maximum age of the credential. It is rotated during the last quarter of this time, at a
    different time for each team."""
    before_expiry_days: Annotated[int, Field(ge=1, le=3650), WHOLE] = 3
    """The credential is rotated at least this many days before the robot expires. The sum of this
    and `max_age_days` must not exceed the robot's `expiry_days`."""
    overlap_hours: Annotated[int, Field(ge=1, le=24 * 90), WHOLE] = 24
    """How long the old credential keeps working after the new one is in place. The effective time
    is never shorter than the lifetime of Harbor's registry tokens."""
    deletion_hours: Annotated[int, Field(ge=1, le=24 * 365), WHOLE] = 24 * 7
    """How long the old robot stays disabled before it is deleted."""


SecretFormat = Literal["docker", "config.json", "basic"]


class SecretSink(Model):
    """A further Secret that receives a robot's credential, such as a Secret of a CI system.

    The namespace must exist. `{team}` in a name stands for the team's name.
    """

    namespace: SinkNamespace
    """The Secret's namespace."""
    name: SinkName
    """The Secret's name."""
    format: SecretFormat = "docker"
    """The format: `docker` is a Secret of type kubernetes.io/dockerconfigjson, `config.json` has
    the same content under the key `config.json`, `basic` has a username and a password."""

    def of(self, team: str) -> "SecretSink":
        """Return the sink with `{team}` replaced by a team's name."""
        named = {"namespace": self.namespace, "name": self.name}
        return self.model_copy(update={k: v.replace("{team}", team) for k, v in named.items()})


class Robot(Model):
    """A Harbor robot account, and the Secret that holds its credential.

    Robots come in pairs, `<name>-a` and `<name>-b`. Each rotation switches from one to the other.
    """

    access: Annotated[list[Access], Field(min_length=1)] = ["repository:pull"]
    """The robot's permissions in the team's project."""
    expiry_days: Annotated[int, Field(ge=1, le=36500), WHOLE] | Literal["never"] = 90
    """Days until the robot expires, or `never`."""
    rotation: Rotation | None = None
    """The rotation policy. If not given, the credential is rotated only on request."""
    attach: bool = False
    """Attach the Secret to the namespaces' default ServiceAccount as an image pull secret."""
    sinks: list[SecretSink] = []
    """Further Secrets that receive the credential."""
    replaces: list[Annotated[str, Field(min_length=1)]] = []
    """Full names of existing robots that this robot replaces, such as `otomi-team-{team}-pull`.
    They are retired in the same way as the old robot of a pair."""

    @property
    def effective_rotation(self) -> Rotation:
        """The declared rotation policy; without one, the policy of a rotation on request."""
        return self.rotation or Rotation(max_age_days=3650)


class Limits(Model):
    """The LimitRange of a namespace: default and allowed resources of a container."""

    default: Amounts = {}
    """The limits of a container that declares none, such as `memory: 512Mi`."""
    default_request: Amounts = {}
    """The requests of a container that declares none."""
    max: Amounts = {}
    """The largest limits that a container may have."""
    min: Amounts = {}
    """The smallest requests that a container may have."""


class Network(Model):
    """The NetworkPolicies of a namespace. Traffic that is not allowed here is denied."""

    deny_by_default: bool = True
    """Deny all ingress and egress that no policy allows. If false, Tenantry creates no
    NetworkPolicies."""
    allow_dns: bool = True
    """Allow DNS queries to the cluster's DNS."""
    allow_same_namespace: bool = True
    """Allow traffic between the pods of the namespace."""
    allow_mesh: bool = True
    """Allow the sidecars' connections to Istio's control plane."""
    allow_gateway: bool = True
    """Allow traffic from the mesh's ingress gateway."""
    policies: dict[ShortName, NetworkPolicySpec] = {}
    """Further NetworkPolicies by name. Each value is the `spec` of a NetworkPolicy."""


class Namespace(Model):
    """A namespace of the team, with its quota, limits, policies and role binding."""

    labels: dict[Key, Label] = {}
    """Further labels of the namespace."""
    annotations: dict[Key, str] = {}
    """Further annotations of the namespace."""
    pod_security: PodSecurity = "baseline"
    """The enforced Pod Security level. Sidecar injection without Istio's CNI requires
    `privileged`."""
    mesh: StrictBool | Revision = True
    """Whether Istio injects its sidecar: true, false, or the name of a revision."""
    quota: Quota = {}
    """The ResourceQuota, by resource, such as `requests.cpu: 4`."""
    limits: Limits = Limits()
    """The LimitRange for containers."""
    network: Network = Network()
    """The NetworkPolicies."""
    cluster_role: ClusterRoleName = "tenantry-team-member"
    """The ClusterRole that is bound to the team's OIDC group in the namespace."""


class OidcClient(Model):
    """An OIDC client in Keycloak for an application of the team.

    Its id is `team-<team>-<name>`. Tenantry writes the id, the secret and the issuer to the
    Secret `oidc-<name>` in the team's namespace.
    """

    redirect_uris: Annotated[list[RedirectUri], Field(min_length=1)]
    """The allowed redirect URIs of a login, exactly as the application sends them."""
    post_logout_redirect_uris: list[PostLogoutUri] = []
    """The allowed redirect URIs of a logout."""
    web_origins: list[WebOrigin] = []
    """The origins from which a browser may call Keycloak (CORS)."""
    public: bool = False
    """Whether the client has no secret, such as a single-page application."""


class RoutePath(Model):
    """One path of a route and its backend Service."""

    prefix: Annotated[str, *fits(r"/[\s\S]*", "a path begins with '/'")] = "/"
    """The path prefix. A VirtualService compares characters, so that `/api` also matches `/apiary`.
    An HTTPRoute compares whole path segments, so that it matches `/api/x` but not `/apiary`."""
    service: ServiceName
    """A Service in the team's namespace."""
    port: Annotated[int, Field(ge=1, le=65535), WHOLE]
    """The port of the Service."""


class Route(Model):
    """A host name of the team, served through the mesh's gateway."""

    host: Host
    """The host name."""
    paths: Annotated[list[RoutePath], Field(min_length=1)]
    """The paths and their backend Services. A VirtualService uses the first matching prefix, an
    HTTPRoute the longest one."""
    gateway: GatewayName | None = None
    """The Gateway, in the form `namespace/name`. The default is the platform's Gateway."""
    kind: Literal["VirtualService", "HTTPRoute"] | None = None
    """The kind of route: Istio's, or the Gateway API's. The default is the platform's kind."""


class TeamSettings(Model):
    """The settings of a team's resources, which the platform can also give as defaults."""

    harbor: HarborProject = HarborProject()
    """The Harbor project."""
    robots: dict[ShortName, Robot | None] = {}
    """Harbor robots by purpose: `pull` for the cluster, `ci` for pipelines, and any further ones.
    null removes a default robot."""
    namespace: Namespace = Namespace()
    """The namespace `team-<name>`."""
    further_namespaces: dict[ShortName, Namespace] = {}
    """Further namespaces `team-<name>-<key>`. Fields that are not given are taken from
    `namespace`."""
    oidc_clients: dict[ShortName, OidcClient] = {}
    """OIDC clients in Keycloak."""
    routes: dict[ShortName, Route] = {}
    """Routes in the mesh."""
    adopt: Adopt = "never"
    """Whether to adopt an existing resource of the same name that Tenantry did not create: `never`
    (report it), `if-identical` (only if it matches the declaration), or `yes` (and update it)."""


class Identity(Model):
    """The identity of a team. These fields come first in every form and schema."""

    name: TeamName
    """The team's name: lower-case letters and digits, in words joined by single dashes."""
    display_name: str | None = None
    """The team's name for people."""
    contact: str | None = None
    """The team's contact, such as an e-mail address or a chat channel."""
    profile: ProfileName | None = None
    """One of the platform's profiles, which give defaults to a class of teams."""
    group: GroupName | None = None
    """The team's OIDC group. The default is `team-<name>`."""
    members: list[UserName] | None = None
    """User names of the group's members in Keycloak. If not given, Tenantry does not manage the
    membership."""
    external_groups: dict[str, ExternalNames] = {}
    """Names of the group at the external identity providers, by the provider's alias, if they
    differ from the names that the platform expects."""
    drift: Drift = Drift()
    """Findings of this team that the drift report ignores."""


class Team(TeamSettings, Identity):
    """A tenant of the platform."""

    @property
    def label(self) -> str:
        """The team as messages name it, such as `team 'shop'`."""
        return f"team '{self.name}'"

    @property
    def slug(self) -> str:
        """`team-<name>`: the name of the namespace, of the project, and of the default group."""
        return f"team-{self.name}"

    @property
    def oidc_group(self) -> str:
        """The name of the team's OIDC group."""
        return self.group or self.slug

    @property
    def active_robots(self) -> dict[str, Robot]:
        """The robots by purpose, without the removed defaults."""
        return {name: robot for name, robot in self.robots.items() if robot is not None}

    def sinks(self, purpose: str) -> list[SecretSink]:
        """Return the further Secrets of a robot, with `{team}` replaced."""
        return [sink.of(self.name) for sink in self.active_robots[purpose].sinks]

    def replaced_robots(self, purpose: str) -> list[str]:
        """Return the full names of the robots that a robot replaces."""
        declared = self.active_robots[purpose].replaces
        return [name.replace("{team}", self.name) for name in declared]

    @property
    def namespaces(self) -> dict[str, Namespace]:
        """All namespaces of the team by full name, with `team-<name>` first."""
        further = {f"{self.slug}-{key}": ns for key, ns in self.further_namespaces.items()}
        return {self.slug: self.namespace} | further
