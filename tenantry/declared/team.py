"""The fields of a team file. Fields that are not set come from the platform's defaults."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from tenantry.declared.adopt import NEVER, Adopt
from tenantry.declared.drift import Drift
from tenantry.declared.harbor_project import HarborProject, Robot, SecretSink
from tenantry.declared.keycloak_values import PostLogoutUri, RedirectUri, UserName, WebOrigin
from tenantry.declared.kubernetes_values import (
    GatewayName,
    Host,
    ServiceName,
)
from tenantry.declared.names import NamePatterns, TeamNames, fill
from tenantry.declared.namespace import Namespace
from tenantry.declared.offboarding import Offboarding
from tenantry.declared.types import (
    WHOLE,
    ExternalNames,
    GroupName,
    Model,
    ProfileName,
    ShortName,
    TeamName,
    fits,
)


class OidcClient(Model):
    """An OIDC client in Keycloak for an application of the team.

    By default its id is `team-<team>-<name>`. Tenantry writes the id, the secret and the issuer to
    the Secret `oidc-<name>` in the team's first namespace.
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
    """The Gateway, such as `istio-ingress/public`. The default is the platform's Gateway."""
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
    """The team's first namespace, `team-<name>` by default."""
    further_namespaces: dict[ShortName, Namespace] = {}
    """Further namespaces, `team-<name>-<key>` by default. Fields that are not given are taken from
    `namespace`."""
    oidc_clients: dict[ShortName, OidcClient] = {}
    """OIDC clients in Keycloak."""
    routes: dict[ShortName, Route] = {}
    """Routes in the mesh."""
    adopt: Adopt = NEVER
    """Whether to adopt an existing resource of the same name that Tenantry did not create: `never`
    (report it), `if-identical` (only if it matches the declaration), or `yes` (and update it); or
    one of these for each system, such as `{harbor: "yes", keycloak: never}`."""


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
    """The team's OIDC group. The default follows the platform's pattern, `team-<name>`."""
    names: TeamNames = TeamNames()
    """Names of existing objects that do not follow the platform's patterns."""
    members: list[UserName] | None = None
    """User names of the group's members in Keycloak. If not given, Tenantry does not manage the
    membership."""
    external_groups: dict[str, ExternalNames] = {}
    """Names of the group at the external identity providers, by the provider's alias, if they
    differ from the names that the platform expects."""
    drift: Drift = Drift()
    """Findings of this team that the drift report ignores."""
    offboarding: Offboarding | None = None
    """The record of a team that is being offboarded. `offboard-team` writes it, and `onboard-team`
    takes it away."""


class Team(TeamSettings, Identity):
    """A tenant of the platform."""

    _patterns: NamePatterns = PrivateAttr(default_factory=NamePatterns)
    """The platform's patterns of names, from `complete`."""

    @property
    def label(self) -> str:
        """The team as messages name it, such as `team 'shop'`."""
        return f"team '{self.name}'"

    @property
    def home_namespace(self) -> str:
        """The name of the team's first namespace."""
        return self.names.namespace or fill(self._patterns.namespace, team=self.name)

    @property
    def project(self) -> str:
        """The name of the team's Harbor project."""
        return self.names.project or fill(self._patterns.project, team=self.name)

    @property
    def oidc_group(self) -> str:
        """The name of the team's OIDC group."""
        return self.group or fill(self._patterns.group, team=self.name)

    def further_namespace(self, key: str) -> str:
        """Return the full name of a further namespace."""
        named = self.names.further_namespaces.get(key)
        return named or fill(self._patterns.further, team=self.name, key=key)

    def client_id(self, name: str) -> str:
        """Return the id of an OIDC client in Keycloak."""
        return self.names.clients.get(name) or fill(
            self._patterns.client, team=self.name, name=name
        )

    def client_of(self, client_id: str) -> str | None:
        """Return the declared name of the OIDC client with this id; None if it is not declared."""
        return next((name for name in self.oidc_clients if self.client_id(name) == client_id), None)

    def secret_name(self, purpose: str) -> str:
        """Return the name of the Secret with a robot's credential in the team's namespaces."""
        patterns = self._patterns
        named = self.names.secrets.get(purpose) or patterns.secrets.get(purpose)
        return named or fill(patterns.secret, purpose=purpose)

    def purpose_of(self, secret: str) -> str | None:
        """Return the purpose of the robot whose Secret has this name; None if it has another name."""
        return next((each for each in self.active_robots if self.secret_name(each) == secret), None)

    def client_secret_name(self, name: str) -> str:
        """Return the name of the Secret with the credentials of an OIDC client."""
        named = self.names.client_secrets.get(name)
        return named or fill(self._patterns.client_secret, name=name)

    @property
    def by_convention(self) -> "Team":
        """The same team without explicit names, so that its names follow the platform's patterns."""
        return self.model_copy(update={"names": TeamNames(), "group": None})

    def with_patterns(self, patterns: NamePatterns) -> "Team":
        """Return the same team on a platform with these patterns of names."""
        found = self.model_copy()
        found._patterns = patterns
        return found

    def only_named(self) -> "Team":
        """Return a team with the names of this one, and without any other setting."""
        found = Team(name=self.name, group=self.group, names=self.names)
        return found.with_patterns(self._patterns)

    def with_secrets(self, names: Mapping[str, str]) -> "Team":
        """Return the same team with these names of the Secrets of robots, by purpose."""
        secrets = {**self.names.secrets, **names}
        return self.model_copy(update={"names": self.names.model_copy(update={"secrets": secrets})})

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
        """All namespaces of the team by full name, with the home namespace first."""
        further = {
            self.further_namespace(key): namespace
            for key, namespace in self.further_namespaces.items()
        }
        return {self.home_namespace: self.namespace} | further

    def namespace_key(self, namespace: str) -> str | None:
        """Return the key of a further namespace by its full name; None for any other name."""
        keys = (key for key in self.further_namespaces if self.further_namespace(key) == namespace)
        return next(keys, None)
