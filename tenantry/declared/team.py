"""What a team declares. Only what is set counts: the rest comes from the platform's defaults."""

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
    """Which tags Harbor keeps. Exactly one of the four counts is given."""

    latest_pushed: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep this many tags, the last pushed."""
    latest_pulled: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep this many tags, the last pulled."""
    pushed_within_days: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep what was pushed in the last so many days."""
    pulled_within_days: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep what was pulled in the last so many days."""
    repositories: Pattern = "**"
    """Repositories of the project that the rule is for, as a doublestar pattern."""
    tags: Pattern = "**"
    """Tags that the rule is for, as a doublestar pattern."""
    untagged: bool = True
    """Whether artifacts without a tag are kept as well."""


class Retention(Model):
    """The project's tag-retention policy."""

    rules: list[RetentionRule] = Field(min_length=1, max_length=15)
    """A tag is kept if one of them keeps it. Harbor takes 15 at most."""
    schedule: Cron | None = None
    """When Harbor applies it, five cron fields in Harbor's own time zone; never by itself if not
    given."""


class ImmutableTags(Model):
    """Tags that nobody can overwrite or delete."""

    repositories: Pattern = "**"
    """Repositories of the project that the rule is for, as a doublestar pattern."""
    tags: Pattern = "**"
    """Tags that the rule is for, as a doublestar pattern, such as `v*`."""


class HarborProject(Model):
    """The team's project in Harbor."""

    role: Role = "developer"
    """Role of the team's own OIDC group in the project."""
    groups: dict[GroupName, Role] = {}
    """Further OIDC groups and their roles, such as `all-teams-admin: projectAdmin`."""
    storage_quota: StorageQuota | None = None
    """How much the project may hold, as `10Gi` or `unlimited`; left as Harbor has it if not
    given."""
    public: bool = False
    """Whether anybody may pull without logging in."""
    auto_scan: bool | None = None
    """Scan images for vulnerabilities when they are pushed."""
    prevent_vulnerable: bool | None = None
    """Refuse pulls of images with vulnerabilities of `severity` and above."""
    severity: Literal["none", "low", "medium", "high", "critical"] | None = None
    """From which severity on `prevent_vulnerable` refuses pulls."""
    require_cosign: bool | None = None
    """Refuse pulls of images without a Cosign signature."""
    retention: Retention | None = None
    """Which tags Harbor keeps."""
    immutable_tags: list[ImmutableTags] = []
    """Tags that can't be overwritten."""


EARLIEST_ROTATION = 0.75
"""Of its greatest age: a credential is due in the last quarter, another time for each team."""


class Rotation(Model):
    """When a robot's credential is exchanged for a new one, and how the old one goes."""

    max_age_days: Annotated[int, Field(ge=1, le=3650), WHOLE]
    """The credential is exchanged before it is this old: at some time in the last quarter, another
    one for each team."""
    before_expiry_days: Annotated[int, Field(ge=1, le=3650), WHOLE] = 3
    """It is exchanged at the latest this long before the robot expires. Together with
    `max_age_days` no more than the robot's `expiry_days`."""
    overlap_hours: Annotated[int, Field(ge=1, le=24 * 90), WHOLE] = 24
    """How long the old credential still works after the new one is in place. Never shorter than
    the tokens of Harbor's registry live."""
    deletion_hours: Annotated[int, Field(ge=1, le=24 * 365), WHOLE] = 24 * 7
    """How long the old robot is kept, disabled, after that; then it is deleted."""


SecretFormat = Literal["docker", "config.json", "basic"]


class SecretSink(Model):
    """A further Secret that is given a robot's credential, such as a CI system's.

    Its namespace must exist. `{team}` in a name stands for the team's name.
    """

    namespace: SinkNamespace
    """The namespace that the Secret is in."""
    name: SinkName
    """The Secret's name."""
    format: SecretFormat = "docker"
    """What it is like: `docker` is of the type kubernetes.io/dockerconfigjson, `config.json` has
    the same content under that key, `basic` has a username and a password."""

    def of(self, team: str) -> "SecretSink":
        """The same, with a team's name for `{team}`."""
        named = {"namespace": self.namespace, "name": self.name}
        return self.model_copy(update={k: v.replace("{team}", team) for k, v in named.items()})


class Robot(Model):
    """A Harbor robot account, and the Secret that holds its credential.

    Robots come in pairs, `<name>-a` and `<name>-b`, that take turns when the
    credential is rotated.
    """

    access: Annotated[list[Access], Field(min_length=1)] = ["repository:pull"]
    """What the robot may do in the team's project."""
    expiry_days: Annotated[int, Field(ge=1, le=36500), WHOLE] | Literal["never"] = 90
    """Days until the robot stops working, or `never`."""
    rotation: Rotation | None = None
    """When the credential is rotated; never by itself if not given."""
    attach: bool = False
    """Attach the Secret to the namespaces' default ServiceAccount, so that pods pull with it."""
    sinks: list[SecretSink] = []
    """Further Secrets that are given the credential."""
    replaces: list[Annotated[str, Field(min_length=1)]] = []
    """Full names of robots that somebody else made and that this one takes the place of, such as
    `otomi-team-{team}-pull`. They are retired as the old robot of a pair is."""

    @property
    def effective_rotation(self) -> Rotation:
        """The rotation as declared; without one, how it goes when somebody asks for it."""
        return self.rotation or Rotation(max_age_days=3650)


class Limits(Model):
    """What a container gets that says nothing itself, and what it may ask for at most."""

    default: Amounts = {}
    """Limits of a container that declares none, such as `memory: 512Mi`."""
    default_request: Amounts = {}
    """Requests of a container that declares none."""
    max: Amounts = {}
    """The most that one container may be given."""
    min: Amounts = {}
    """The least that one container must ask for."""


class Network(Model):
    """The NetworkPolicies of a namespace. All is denied but what is allowed here."""

    deny_by_default: bool = True
    """Deny all traffic in and out that no policy allows. Off: no NetworkPolicies at all."""
    allow_dns: bool = True
    """Name resolution by the cluster's DNS."""
    allow_same_namespace: bool = True
    """Traffic between the pods of the namespace."""
    allow_mesh: bool = True
    """The sidecars' connection to Istio's control plane."""
    allow_gateway: bool = True
    """Traffic from the mesh's ingress gateway."""
    policies: dict[ShortName, NetworkPolicySpec] = {}
    """Further NetworkPolicies by name, each the `spec` of one."""


class Namespace(Model):
    """A namespace of the team's and what is in it from the start."""

    labels: dict[Key, Label] = {}
    """Further labels of the namespace."""
    annotations: dict[Key, str] = {}
    """Further annotations of the namespace."""
    pod_security: PodSecurity = "baseline"
    """The Pod Security level that is enforced. Sidecar injection without Istio's CNI needs
    `privileged`."""
    mesh: StrictBool | Revision = True
    """Inject Istio's sidecar: true, false, or the name of a revision."""
    quota: Quota = {}
    """The ResourceQuota, by resource, such as `requests.cpu: 4`."""
    limits: Limits = Limits()
    """The LimitRange for containers."""
    network: Network = Network()
    """The NetworkPolicies."""
    cluster_role: ClusterRoleName = "tenantry-team-member"
    """ClusterRole that the team's OIDC group gets in the namespace."""


class OidcClient(Model):
    """An OIDC client in Keycloak for an application of the team's.

    Its id is `team-<team>-<name>`. The id, secret and issuer are put into the
    Secret `oidc-<name>` of the team's namespace.
    """

    redirect_uris: Annotated[list[RedirectUri], Field(min_length=1)]
    """Where a login may return to, exactly as the application asks for it."""
    post_logout_redirect_uris: list[PostLogoutUri] = []
    """Where a logout may return to."""
    web_origins: list[WebOrigin] = []
    """Origins that a browser may call Keycloak from."""
    public: bool = False
    """Whether the client has no secret (an application in the browser)."""


class RoutePath(Model):
    """One path of a route and the Service that answers it."""

    prefix: Annotated[str, *fits(r"/[\s\S]*", "a path begins with '/'")] = "/"
    """What the path begins with: letter for letter in a VirtualService (`/api` fits `/apiary`), by
    whole parts in an HTTPRoute (it fits `/api/x` only)."""
    service: ServiceName
    """A Service in the team's namespace."""
    port: Annotated[int, Field(ge=1, le=65535), WHOLE]
    """Port of the Service."""


class Route(Model):
    """A host name of the team's, served through the mesh's gateway."""

    host: Host
    """The host name."""
    paths: Annotated[list[RoutePath], Field(min_length=1)]
    """Which Service answers which path. In a VirtualService the first prefix that fits wins, in an
    HTTPRoute the longest."""
    gateway: GatewayName | None = None
    """The Gateway, as `namespace/name`; the platform's if not given."""
    kind: Literal["VirtualService", "HTTPRoute"] | None = None
    """Istio's own kind of route, or that of the Gateway API; the platform's if not given."""


class TeamSettings(Model):
    """What a team declares about its systems, and what the platform can give it as a default."""

    harbor: HarborProject = HarborProject()
    """The Harbor project."""
    robots: dict[ShortName, Robot | None] = {}
    """Harbor robots by purpose: `pull` for the cluster, `ci` for pipelines, and any further ones.
    null takes a default one away."""
    namespace: Namespace = Namespace()
    """The namespace `team-<name>`."""
    further_namespaces: dict[ShortName, Namespace] = {}
    """Further namespaces `team-<name>-<key>`. What one doesn't say is as in `namespace`."""
    oidc_clients: dict[ShortName, OidcClient] = {}
    """OIDC clients in Keycloak."""
    routes: dict[ShortName, Route] = {}
    """Routes in the mesh."""
    adopt: Adopt = "never"
    """What to do with something of the same name that Tenantry did not make: leave it alone and
    say so, take it over if it is exactly as declared, or take it over and change it."""


class Identity(Model):
    """Who a team is. It comes first wherever a team is shown, in a form as in a schema."""

    name: TeamName
    """Lower-case letters and digits, in words joined by single dashes."""
    display_name: str | None = None
    """How people call the team."""
    contact: str | None = None
    """Who to turn to: an e-mail address, a chat channel."""
    profile: ProfileName | None = None
    """One of the platform's profiles: defaults for a sort of team."""
    group: GroupName | None = None
    """The team's OIDC group; `team-<name>` if not given."""
    members: list[UserName] | None = None
    """User names of the group's members in Keycloak. If not given, Tenantry leaves membership
    alone."""
    external_groups: dict[str, ExternalNames] = {}
    """Names that the group has at the external identity providers, by the provider's alias, where
    they differ from what the platform expects."""
    drift: Drift = Drift()
    """What the drift report leaves out, of this team."""


class Team(TeamSettings, Identity):
    """A tenant of the platform."""

    @property
    def label(self) -> str:
        """What it is called in a message."""
        return f"team '{self.name}'"

    @property
    def slug(self) -> str:
        """`team-<name>`: the namespace, the project, and the group unless another is given."""
        return f"team-{self.name}"

    @property
    def oidc_group(self) -> str:
        """Name of the team's OIDC group."""
        return self.group or self.slug

    @property
    def active_robots(self) -> dict[str, Robot]:
        """The robots that were not taken away."""
        return {name: robot for name, robot in self.robots.items() if robot is not None}

    def sinks(self, purpose: str) -> list[SecretSink]:
        """The further Secrets of a robot, with the team's name in theirs."""
        return [sink.of(self.name) for sink in self.active_robots[purpose].sinks]

    def replaced_robots(self, purpose: str) -> list[str]:
        """Full names of the robots that a robot takes the place of."""
        declared = self.active_robots[purpose].replaces
        return [name.replace("{team}", self.name) for name in declared]

    @property
    def namespaces(self) -> dict[str, Namespace]:
        """All namespaces of the team by their full names, the first one first."""
        further = {f"{self.slug}-{key}": ns for key, ns in self.further_namespaces.items()}
        return {self.slug: self.namespace} | further
