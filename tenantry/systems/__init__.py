"""The four systems as one: what is desired of them, what is observed, and how a plan is applied.

Each room answers the same three questions about its own resources; here they are
put in order, since some answers need another's: a Harbor project's mark stands on
the namespace, and a robot's secret goes into one.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tenantry.calls import Clock, real_time
from tenantry.connections import Connections
from tenantry.declared import Declaration, Team
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.plan import Change, Plan, make_plan, may_adopt
from tenantry.resources import STAGES, Observed, Resource, Stage, Unreadable
from tenantry.systems.credentials import Credentials
from tenantry.systems.harbor import Harbor, project_id
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.istio import Istio
from tenantry.systems.keycloak import Keycloak
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes import Kubernetes, objects, project_mark
from tenantry.systems.kubernetes.client import KubernetesClient


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
        self.kubernetes = Kubernetes(self.kubernetes_client, state, extras=extras)
        self.keycloak = Keycloak(self.keycloak_client, state, extras=extras)
        self.harbor = Harbor(self.harbor_client, state, clock, extras=extras)
        self.istio = Istio(self.kubernetes_client, state)
        self.credentials = Credentials(
            self.harbor_client,
            self.keycloak_client,
            self.kubernetes_client,
            state.platform.harbor.registry,
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
        self._stack.close()

    def check(self) -> list[str]:
        """A sentence for each system that answers as it must.

        Raises:
            SystemRefused, SystemUnavailable: the first that does not, and why.
        """
        return [
            check_harbor(self.harbor_client),
            check_keycloak(self.keycloak_client),
            check_kubernetes(self.kubernetes_client),
        ]

    # Observed

    def observe(self, teams: Sequence[Team]) -> Observed:
        """All that the four systems hold of these teams."""
        observed = Observed()
        for look in LOOKS.values():
            look(self, teams, observed)
        return observed

    def look_at_kubernetes(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds what the cluster holds, routes included."""
        observed.add(self.kubernetes.observe(teams))
        observed.add(self.istio.observe(teams))

    def look_at_keycloak(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds what Keycloak holds."""
        observed.add(self.keycloak.observe(teams))

    def look_at_harbor(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds what Harbor holds. Needs the look at Kubernetes."""
        marks = {team.slug: project_mark(team, observed) for team in teams}
        seen = self.harbor.observe(teams, marks)
        for team in teams:
            project = project_id(team.slug)
            live = seen.live.get(project)
            namespace = objects.id_of("Namespace", team.slug)
            if live is not None and not live.ours and not observed.is_known(namespace):
                # Its mark may stand there.
                reason = "nobody can tell whose it is while its namespace can't be read"
                error = SystemUnavailable("harbor", f"project {team.slug}", reason)
                seen.unreadable[project] = Unreadable(error, team.name)
        observed.add(seen)

    def look_at_credentials(self, teams: Sequence[Team], observed: Observed) -> None:
        """Adds the Secrets, and whether what they hold works. Needs all other looks."""
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
        return make_plan(team, self.desired(team, observed), observed, partial=partial)

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
        for stage in stages:
            for change in plan.in_stage(stage):
                self._apply(change, observed)
                report(change)

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


LOOKS: dict[str, Callable[[Systems, Sequence[Team], Observed], None]] = {
    "Kubernetes": Systems.look_at_kubernetes,
    "Keycloak": Systems.look_at_keycloak,
    "Harbor": Systems.look_at_harbor,
    "Credentials": Systems.look_at_credentials,
}
"""How each system is looked at, in the order that the looks need each other."""


def check_harbor(client: HarborClient) -> str:
    """Whether Harbor's address, version and credentials work, in a sentence."""
    info = client.info()
    version, mode = info["harbor_version"], info["auth_mode"]
    if mode != "oidc_auth":
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/systeminfo",
            f"its auth_mode is '{mode}', in which OIDC groups can't be members of projects",
            advice="Set auth_mode to oidc_auth in Harbor's configuration.",
        )
    if not client.is_administrator():
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/users/current",
            f"'{client.account.username}' is no system administrator",
            advice="Give the Harbor connection an administrator: no robot may renew another's "
            "secret.",
        )
    return f"Harbor {version} at {client.account.url} knows '{client.account.username}'."


def check_keycloak(client: KeycloakClient) -> str:
    """Whether Keycloak's address, realm and credentials work, in a sentence."""
    client.log_in()
    version = client.version()
    if not client.realm_exists():
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
    client.get("Namespace", "default")
    return f"Kubernetes {version} at {client.host} accepts the credentials."
