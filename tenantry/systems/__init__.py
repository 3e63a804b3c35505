"""The four systems as one: what is desired of them, what is observed, and how a plan is applied.

Each room answers the same three questions about its own resources; here they are
put in order, since some answers need another's: a Harbor project's mark stands on
the namespace, and a robot's secret goes into one.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from tenantry.answers import understood
from tenantry.calls import Clock, real_time
from tenantry.confidential import hide_wire_logs
from tenantry.connections import Connections
from tenantry.declared import Declaration, Team
from tenantry.errors import DependsOnUnread, SystemRefused
from tenantry.kinds import STAGES, Stage
from tenantry.marks import Marks
from tenantry.plan import Change, Plan, make_plan, may_adopt, unknown_kind
from tenantry.resources import PLATFORM, Id, Observed, Resource, Unreadable
from tenantry.systems.credentials import Credentials
from tenantry.systems.harbor import Harbor, project_id
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.configuration import HarborConfiguration
from tenantry.systems.istio import Istio
from tenantry.systems.istio.platform import IstioPlatform
from tenantry.systems.keycloak import Keycloak
from tenantry.systems.keycloak import kinds as keycloak_kinds
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.harbors_client import secret_of
from tenantry.systems.keycloak.platform import KeycloakPlatform
from tenantry.systems.kubernetes import Kubernetes, project_intent
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.systems.kubernetes.kinds import NAMESPACE

hide_wire_logs()


class Systems:
    """Harbor, Keycloak, Kubernetes and Istio of one platform. Safe to use from many threads.

    Use it as a context manager: leaving it closes the connections.
    """

    def __init__(
        self,
        connections: Connections,
        state: Declaration,
        *,
        probe_credentials: bool = True,
        extras: bool = False,
        clock: Clock = real_time,
    ) -> None:
        """
        Args:
            connections: where the systems are, and as whom they are called.
            state: what is declared.
            probe_credentials: try whether robots' credentials open Harbor, a call each; else they
                are taken to do so.
            extras: look for what nobody declares, too.
            clock: the time that robots' ages are told by.
        """
        self.state = state
        self.probes_credentials = probe_credentials
        self.clock = clock
        self._stack = ExitStack()
        self.harbor_client = HarborClient(connections.harbor)
        self._stack.callback(self.harbor_client.close)
        realm = state.platform.keycloak.realm
        self.keycloak_client = KeycloakClient(connections.keycloak, realm)
        self._stack.callback(self.keycloak_client.close)
        self.kubernetes_client = KubernetesClient(connections.kubernetes)
        self._stack.callback(self.kubernetes_client.close)
        platform = state.platform
        self.marks = marks = Marks(platform.id, platform.name, self.kubernetes_client.uid)
        self.kubernetes = Kubernetes(self.kubernetes_client, state, marks, extras=extras)
        self.keycloak = Keycloak(self.keycloak_client, state, marks, extras=extras)
        self.harbor = Harbor(self.harbor_client, state, clock, marks, extras=extras)
        self.istio = Istio(self.kubernetes_client, state, marks)
        self.keycloak_platform = KeycloakPlatform(
            self.keycloak_client,
            self.harbor_client,
            self.kubernetes_client,
            state,
            clock,
            marks,
            extras=extras,
        )
        self.harbor_configuration = HarborConfiguration(self.harbor_client, state)
        self.istio_platform = IstioPlatform(
            self.kubernetes_client, self.harbor_client, state, marks
        )
        self.credentials = Credentials(
            self.harbor_client,
            self.keycloak_client,
            self.kubernetes_client,
            state.platform.harbor.registry,
            marks,
            probe=probe_credentials,
            clock=clock,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._stack.close()

    def check(self, *, configuring: bool = False) -> list[str]:
        """A sentence for each system that answers as it must.

        Args:
            configuring: the platform is planned, too: what it declares need not be there yet.

        Raises:
            SystemRefused, SystemUnavailable: the first that does not, and why.
        """
        platform = self.state.platform
        mode_comes = configuring and platform.harbor.single_sign_on is not None
        realm_comes = configuring and platform.keycloak.realm_settings is not None
        return [
            check_harbor(self.harbor_client, any_mode=mode_comes),
            check_keycloak(self.keycloak_client, any_realm=realm_comes),
            check_kubernetes(self.kubernetes_client),
        ]

    # The platform

    def observe_platform(self) -> Observed:
        """All that the systems hold of what is the platform's."""
        observed = Observed()
        for look in LOOKS_AT_PLATFORM.values():
            look(self, observed)
        return observed

    def look_at_realm(self, observed: Observed) -> None:
        """Adds what Keycloak holds of the platform's."""
        with understood("keycloak", "read the realm"):
            observed.add(self.keycloak_platform.observe())

    def look_at_configuration(self, observed: Observed) -> None:
        """Adds what Harbor is configured to."""
        with understood("harbor", "read the configuration"):
            observed.add(self.harbor_configuration.observe(self.keycloak_client.issuer_to_be))

    def look_at_mesh(self, observed: Observed) -> None:
        """Adds what the cluster holds of Gateways and of Harbor's place in the mesh."""
        with understood("istio", "read the mesh"):
            observed.add(self.istio_platform.observe())

    def desired_platform(self, observed: Observed) -> list[Resource]:
        """Every resource of the platform's own."""
        issuer = self.keycloak_client.issuer_to_be
        with understood("keycloak", "plan the realm"):
            realm = self.keycloak_platform.desired(observed)
        with understood("harbor", "plan the configuration"):
            configuration = self.harbor_configuration.desired(issuer, observed)
        with understood("istio", "plan the mesh"):
            mesh = self.istio_platform.desired(issuer, observed)
        return [*realm, *configuration, *mesh]

    def plan_platform(
        self,
        observed: Observed,
        desired: list[Resource] | None = None,
        *,
        partial: bool = False,
    ) -> Plan:
        """Return the plan that brings the platform to what is declared.

        Args:
            observed: what was seen of it.
            desired: its resources; they are made from what was seen if not given.
            partial: plan what could be read, and leave out the rest.

        Raises:
            TenantryError: part of it could not be read.
        """
        wanted = self.desired_platform(observed) if desired is None else desired
        with understood("keycloak", "plan the platform"):
            return make_plan(self.state.platform, wanted, observed, partial=partial)

    # Observed

    def observe(self, teams: Sequence[Team]) -> Observed:
        """All that the four systems hold of these teams."""
        observed = Observed()
        for look in LOOKS.values():
            look(self, teams, observed)
        return observed

    def look_at_kubernetes(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds what the cluster holds, routes included."""
        with understood("kubernetes", "read the namespaces"):
            observed.add(self.kubernetes.observe(teams))
        with understood("istio", "read the routes"):
            observed.add(self.istio.observe(teams))

    def look_at_keycloak(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds what Keycloak holds."""
        with understood("keycloak", "read groups, mappers and clients"):
            observed.add(self.keycloak.observe(teams))

    def look_at_harbor(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds what Harbor holds. Needs the look at Kubernetes."""
        intents = {team.slug: project_intent(team, observed) for team in teams}
        with understood("harbor", "read the projects"):
            seen = self.harbor.observe(teams, intents)
        for team in teams:
            project = project_id(team.slug)
            live = seen.live.get(project)
            namespace = Id(NAMESPACE, team.slug)
            if live is not None and not live.ours and not observed.is_known(namespace):
                # Its mark may stand there.
                reason = "nobody can tell whose it is while its namespace can't be read"
                error = DependsOnUnread("harbor", f"project {team.slug}", reason)
                seen.unreadable[project] = Unreadable(error, team.name)
        observed.add(seen)

    def look_at_credentials(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds the Secrets, and whether what they hold works. Needs all other looks."""
        with understood("kubernetes", "read the Secrets"):
            observed.add(self.credentials.observe(teams, observed))

    def not_applied(self, teams: Sequence[Team]) -> list[Team]:
        """The teams whose namespace does not say that they are applied as now declared.

        It costs one read of the namespaces, whatever the number of teams.
        """
        found = self.kubernetes.namespaces([team.slug for team in teams])
        by_name = {live["metadata"]["name"]: live for live in found}
        return [
            team
            for team in teams
            if team.slug not in by_name or not self.kubernetes.is_applied(team, by_name[team.slug])
        ]

    # Desired, and planned

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Every resource of a team's."""
        harbor = self.harbor.desired(team)
        with understood("harbor", f"plan the credentials of team '{team.name}'"):
            credentials = self.credentials.desired(team, observed)
            adopts = may_adopt(team, harbor[0], [*harbor, *credentials], observed)
        return [
            *self.kubernetes.desired(team, observed, adopts_project=adopts),
            *self.keycloak.desired(team),
            *harbor,
            *credentials,
            *self.istio.desired(team),
        ]

    def plan(self, team: Team, observed: Observed, *, partial: bool = False) -> Plan:
        """What it takes to bring a team to what is declared.

        Args:
            team: the team.
            observed: what was seen of it.
            partial: plan what could be read, and leave out the rest.

        Raises:
            TenantryError: part of the team could not be read.
        """
        desired = self.desired(team, observed)
        with understood("kubernetes", f"plan team '{team.name}'"):
            return make_plan(team, desired, observed, partial=partial)

    # Applied

    def apply(
        self,
        plan: Plan,
        observed: Observed,
        stages: Sequence[Stage] = STAGES,
        report: Callable[[Change], None] = lambda change: None,
    ) -> None:
        """Carries out the changes of these stages, in order; `report` is told of each when done.

        Raises:
            CallFailed: a change failed; those before it are done, those after it are not.
        """
        if plan.changes:
            self.marks.check()
        for stage in stages:
            for change in plan.in_stage(stage):
                with understood(change.id.system, f"{change.action} {change.id.kind}"):
                    if plan.team == PLATFORM:
                        self._apply_to_platform(change)
                    else:
                        self._apply(change, observed)
                report(change)

    def _apply_to_platform(self, change: Change) -> None:
        match change.id.system, change.id.kind:
            case "keycloak", keycloak_kinds.CLIENT_SECRET:
                secret = self.keycloak_platform.harbors_client.secret
                secret.apply(change, self.harbor_configuration.hand_over)
            case "keycloak", _:
                self.keycloak_platform.apply(change)
            case "harbor", _:
                self.harbor_configuration.apply(change, partial(secret_of, self.keycloak_client))
            case "istio", _:
                self.istio_platform.apply(change)
            case _:
                raise unknown_kind(change)

    def _apply(self, change: Change, observed: Observed) -> None:
        match change.stage:
            case "Kubernetes" | "Mark as applied":
                self.kubernetes.apply(change)
            case "Keycloak":
                self.keycloak.apply(change)
            case "Harbor":
                self.harbor.apply(change)
            case "Credentials":
                self.credentials.apply(change, observed)
            case "Istio":
                self.istio.apply(change)
            case _:
                raise unknown_kind(change)


LOOKS: dict[str, Callable[[Systems, Sequence[Team], Observed], None]] = {
    "Kubernetes": Systems.look_at_kubernetes,
    "Keycloak": Systems.look_at_keycloak,
    "Harbor": Systems.look_at_harbor,
    "Credentials": Systems.look_at_credentials,
}
"""How each system is looked at, in the order that the looks need each other."""


LOOKS_AT_PLATFORM: dict[str, Callable[[Systems, Observed], None]] = {
    "Keycloak": Systems.look_at_realm,
    "Harbor": Systems.look_at_configuration,
    "Istio": Systems.look_at_mesh,
}
"""How each system is looked at for what is the platform's."""


def check_harbor(client: HarborClient, *, any_mode: bool = False) -> str:
    """Whether Harbor's address, version and credentials work, in a sentence.

    Args:
        client: Harbor.
        any_mode: let its auth_mode be another than that of OIDC.
    """
    info = client.info()
    version, mode = info["harbor_version"], info["auth_mode"]
    if mode != "oidc_auth" and not any_mode:
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/systeminfo",
            f"its auth_mode is '{mode}', in which OIDC groups can't be members of projects",
            advice="Set auth_mode to oidc_auth in Harbor's configuration, or declare "
            "harbor.single_sign_on and run configure-platform.",
        )
    if not client.is_administrator():
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/users/current",
            f"'{client.account.username}' is no system administrator",
            advice="Give the Harbor connection an administrator: no robot may renew another's "
            "secret.",
        )
    works = f"Harbor {version} at {client.account.url} knows '{client.account.username}'."
    if mode == "oidc_auth":
        return works
    return (
        f"{works} Its auth_mode is '{mode}': configure-platform sets it to 'oidc_auth' if "
        "harbor.single_sign_on is declared, which takes a Harbor without users but its administrator."
    )


def check_keycloak(client: KeycloakClient, *, any_realm: bool = False) -> str:
    """Whether Keycloak's address, realm and credentials work, in a sentence.

    Args:
        client: the realm.
        any_realm: let it be missing.
    """
    client.log_in()
    version = client.version()
    if not client.realm_exists():
        if any_realm:
            return f"Keycloak {version} at {client.url} has no realm '{client.realm}' yet."
        raise SystemRefused(
            "keycloak",
            f"GET /admin/realms/{client.realm}",
            f"there is no realm '{client.realm}'",
            status=404,
            advice="Create it, or correct keycloak.realm in platform.yaml.",
        )
    return f"Keycloak {version} at {client.url} has realm '{client.realm}'."


def check_kubernetes(client: KubernetesClient) -> str:
    """Whether the cluster's address and credentials work, in a sentence."""
    version = client.version()
    client.uid()
    return f"Kubernetes {version} at {client.host} accepts the credentials."
