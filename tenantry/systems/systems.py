"""All systems of a platform: observe a team or the platform, plan the changes, and apply a plan.

The adapters are called in a fixed order, since some observations need others: the owner of a Harbor
project is recorded on a namespace, and a namespace holds the Secrets of robots.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from tenantry.answers import understood
from tenantry.calls import Clock, utc_now
from tenantry.confidential import hide_wire_logs
from tenantry.connections import Connections
from tenantry.declared import Declaration, Platform, Team
from tenantry.declared.adopt import NEVER
from tenantry.kinds import STAGES, Kind, Stage
from tenantry.marks import Marks
from tenantry.plan import Change, Plan, unknown_kind
from tenantry.planner import make_plan, may_adopt
from tenantry.resources import Observed, Resource
from tenantry.systems.adapter import Adapter, Owner
from tenantry.systems.clients import Clients
from tenantry.systems.credentials.team import TeamCredentials
from tenantry.systems.harbor.platform import HarborPlatform
from tenantry.systems.harbor.team import HarborTeams
from tenantry.systems.health import check_harbor, check_keycloak, check_kubernetes
from tenantry.systems.istio.platform import IstioPlatform
from tenantry.systems.istio.team import IstioTeams
from tenantry.systems.keycloak.harbors_client import secret_of
from tenantry.systems.keycloak.platform import KeycloakPlatform
from tenantry.systems.keycloak.team import KeycloakTeams
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.systems.kubernetes.record import check_size, with_record
from tenantry.systems.kubernetes.team import KubernetesTeams

hide_wire_logs()


class Systems:
    """Harbor, Keycloak, Kubernetes and Istio of one platform. Safe to use from many threads.

    Use it as a context manager: leaving it closes the connections.

    Attributes:
        state: the declared state.
        clusters: the connections to the clusters, by name.
        team_adapters: the adapters for the resources of teams, in the order of observation.
        platform_adapters: the adapters for the platform's own resources.
    """

    def __init__(
        self,
        connections: Connections,
        state: Declaration,
        *,
        probe_credentials: bool = True,
        extras: bool = False,
        renew_client_secret_before: datetime | None = None,
        clock: Clock = utc_now,
        more_adapters: "Sequence[Callable[[Systems], Adapter[Team]]]" = (),
        clients: Clients | None = None,
    ) -> None:
        """
        Args:
            connections: the addresses of the systems, and the accounts.
            state: the declared state.
            probe_credentials: check whether Harbor accepts the credentials of robots, with one call
                for each; otherwise they count as accepted.
            extras: observe undeclared resources, too.
            renew_client_secret_before: plan a new secret of Harbor's client if its secret is older.
            clock: the clock for ages and expiry.
            more_adapters: create further adapters for the resources of teams, given these systems.
                They observe after the others.
            clients: open connections to use, which the caller closes; by default new ones.
        """
        self.state = state
        self.probes_credentials = probe_credentials
        self.clock = clock
        platform = state.platform
        self._closes = clients is None
        self._clients = clients or Clients.connect(connections, platform.keycloak.realm)
        harbor, keycloak, clusters = self._clients
        self.harbor_client, self.keycloak_client, self.clusters = harbor, keycloak, clusters
        self.marks = marks = Marks(platform.id, platform.name, clusters.home.uid)
        self.kubernetes = KubernetesTeams(
            clusters, state, marks, self._adopts_project, extras=extras
        )
        self.keycloak = KeycloakTeams(keycloak, state, marks, extras=extras)
        self.harbor = HarborTeams(harbor, state, clock, marks, extras=extras)
        self.istio = IstioTeams(clusters, state, marks)
        self.credentials = TeamCredentials(
            harbor,
            keycloak,
            clusters,
            platform.harbor.registry,
            marks,
            probe=probe_credentials,
            clock=clock,
        )
        self.team_adapters: tuple[Adapter[Team], ...] = (
            self.kubernetes,
            self.istio,
            self.keycloak,
            self.harbor,
            self.credentials,
            *(create(self) for create in more_adapters),
        )
        issuer = keycloak.issuer_to_be
        self.harbor_platform = HarborPlatform(harbor, state, issuer, partial(secret_of, keycloak))
        self.keycloak_platform = KeycloakPlatform(
            keycloak,
            harbor,
            clusters,
            state,
            clock,
            marks,
            self.harbor_platform.hand_over,
            renew_secret_before=renew_client_secret_before,
        )
        self.istio_platform = IstioPlatform(clusters, harbor, state, marks, issuer)
        self.platform_adapters: tuple[Adapter[Platform], ...] = (
            self.keycloak_platform,
            self.harbor_platform,
            self.istio_platform,
        )
        self._team_kinds = _by_kind(self.team_adapters)
        self._platform_kinds = _by_kind(self.platform_adapters)

    @property
    def home_cluster(self) -> KubernetesClient:
        """The connection to the home cluster, the only one that holds teams in this version."""
        return self.clusters.home

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
        """Close the connections."""
        if self._closes:
            self._clients.close()

    def check(self, *, configuring: bool = False) -> list[str]:
        """Check each system, and return the results as sentences.

        Args:
            configuring: whether the platform is planned, too. Then its realm and its auth_mode may
                be missing.

        Raises:
            CallFailed: the first check that fails.
        """
        platform = self.state.platform
        mode_comes = configuring and platform.harbor.single_sign_on is not None
        realm_comes = configuring and platform.keycloak.realm_settings is not None
        return [
            check_harbor(self.harbor_client, any_mode=mode_comes),
            check_keycloak(self.keycloak_client, any_realm=realm_comes),
            *map(check_kubernetes, self.clusters.values()),
        ]

    # Observe

    def not_applied(self, teams: Sequence[Team]) -> list[Team]:
        """Return the teams whose current declared state is not applied, by the record on their
        namespaces.

        The namespaces are read at once, for any number of teams.
        """
        found = self.kubernetes.namespaces([team.home_namespace for team in teams])
        by_name = {live["metadata"]["name"]: live for live in found}
        return [
            team
            for team in teams
            if team.home_namespace not in by_name
            or not self.kubernetes.is_applied(team, by_name[team.home_namespace])
        ]

    # Plan

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return the desired resources of a team."""
        wanted = [
            resource
            for adapter in self.team_adapters
            for resource in adapter.desired(team, observed)
        ]
        return with_record(team, wanted, observed, self._team_kinds)

    def desired_platform(self, observed: Observed) -> list[Resource]:
        """Return the platform's own desired resources."""
        wanted: list[Resource] = []
        for adapter in self.platform_adapters:
            with understood(adapter.system, f"plan the platform ({adapter.name})"):
                wanted += adapter.desired(self.state.platform, observed)
        return wanted

    def plan(
        self, team: Team, observed: Observed, *, partial: bool = False, adopt: bool = True
    ) -> Plan:
        """Return the plan that brings a team to its declared state.

        Args:
            team: the team.
            observed: what was observed of it.
            partial: plan the resources that could be read, and leave out the others.
            adopt: whether to adopt what the declared state allows.

        Raises:
            TenantryError: a resource of the team could not be read.
        """
        if not adopt:
            team = team.model_copy(update={"adopt": NEVER})
        desired = self.desired(team, observed)
        with understood("kubernetes", f"plan team '{team.name}'"):
            check_size(team, desired, observed)
            plan = make_plan(team, desired, observed, partial=partial)
            return replace(plan, left=(*plan.left, *self.keycloak.groups.forgotten(team, observed)))

    def plan_platform(
        self,
        observed: Observed,
        desired: list[Resource] | None = None,
        *,
        partial: bool = False,
        adopt: bool = True,
    ) -> Plan:
        """Return the plan that brings the platform to its declared state.

        Args:
            observed: what was observed of it.
            desired: its desired resources; by default they are computed.
            partial: plan the resources that could be read, and leave out the others.
            adopt: whether to adopt what the declared state allows.

        Raises:
            TenantryError: a resource of the platform could not be read.
        """
        platform = self.state.platform
        if not adopt:
            platform = platform.model_copy(update={"adopt": NEVER})
        wanted = self.desired_platform(observed) if desired is None else desired
        with understood("keycloak", "plan the platform"):
            return make_plan(platform, wanted, observed, partial=partial)

    def _adopts_project(self, team: Team, observed: Observed) -> bool:
        """Return whether the plan of a team adopts an existing Harbor project."""
        project, *parts = self.harbor.desired(team, observed)
        wanted = [project, *parts, *self.credentials.desired(team, observed)]
        return may_adopt(team, project, wanted, observed)

    # Apply

    def apply(
        self,
        plan: Plan,
        observed: Observed,
        stages: Sequence[Stage] = STAGES,
        report: Callable[[Change], None] = lambda change: None,
    ) -> None:
        """Make the changes of these stages in order, and call `report` after each.

        Raises:
            CallFailed: a change failed. The changes before it are made, those after it are not.
        """
        if plan.changes:
            self.marks.check()
        adapters = self._platform_kinds if plan.is_of_platform else self._team_kinds
        for stage in stages:
            for change in plan.in_stage(stage):
                _apply(adapters, change, observed)
                report(change)

    def apply_change(self, change: Change, observed: Observed) -> None:
        """Make one change of a team's resource.

        Raises:
            CallFailed: it failed.
        """
        self.marks.check()
        _apply(self._team_kinds, change, observed)


def observe(adapter: Adapter[Owner], owners: Sequence[Owner], observed: Observed) -> None:
    """Add what an adapter observes to the observed state.

    Raises:
        TenantryError: the system cannot be read.
    """
    with understood(adapter.system, f"read {adapter.name}"):
        observed.add(adapter.observe(owners, observed))


def _apply(adapters: Mapping[Kind, Adapter[Any]], change: Change, observed: Observed) -> None:
    adapter = adapters.get(change.id.kind)
    if adapter is None:
        raise unknown_kind(change)
    with understood(change.id.system, f"{change.action} {change.id.kind}"):
        adapter.apply(change, observed)


def _by_kind(
    adapters: Sequence[Adapter[Team]] | Sequence[Adapter[Platform]],
) -> dict[Kind, Adapter[Team] | Adapter[Platform]]:
    return {kind: adapter for adapter in adapters for kind in adapter.kinds}
