"""The adapter for credentials: robots, OIDC clients, and the Secrets that hold their credentials.

Harbor shows the secret of a robot once, when the robot is created or its secret is renewed.
Tenantry writes it into the Secret at once, after a login with it has worked. So one adapter handles
a robot and its Secrets: if a Secret is lost, or Harbor rejects the credential in it, the robot gets
a new secret, and the Secret is written. The secret of an OIDC client can be read from Keycloak at
any time, and is copied.

Onboarding and rotation create robots (`issuing.py`), and write their Secrets (`places.py`), in the
same way.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tenantry.answers import understood
from tenantry.calls import Clock, map_concurrently, utc_now
from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Id, Live, Observed, Resource, whole_system
from tenantry.systems.credentials.accounts import (
    ACCOUNT,
    attach,
    attached,
    detach,
    still_attached,
)
from tenantry.systems.credentials.clients import ClientSecret, ClientSecrets
from tenantry.systems.credentials.contents import (
    Credential,
    host_of,
)
from tenantry.systems.credentials.desired import ACCEPTED, REJECTED, DesiredCredentials
from tenantry.systems.credentials.foreign import (
    FOREIGN,
    SystemRobots,
    find_foreign,
    is_in_use,
    names_robot,
)
from tenantry.systems.credentials.issuing import Issuer
from tenantry.systems.credentials.left import observe_left
from tenantry.systems.credentials.observed import (
    rows_by_project,
)
from tenantry.systems.credentials.places import RobotSecret, places
from tenantry.systems.credentials.renames import changed_secret, has_robot, refused
from tenantry.systems.credentials.retired import is_past_retirement
from tenantry.systems.credentials.robot_secrets import Secrets
from tenantry.systems.credentials.robots import Robots
from tenantry.systems.harbor import kinds as harbor_kinds
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.robots import works
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes import kinds as kubernetes_kinds
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.record import recorded


class TeamCredentials:
    """The adapter for robots, the Secrets of robots and OIDC clients, and image pull secrets.

    Attributes:
        issuer: creates robots, and checks their credentials.
        secrets: reads and writes the Secrets of robots.
    """

    name = "Credentials"
    system = "kubernetes"
    kinds = frozenset(
        {
            harbor_kinds.ROBOT,
            kubernetes_kinds.SECRET,
            kubernetes_kinds.SERVICE_ACCOUNT,
            kubernetes_kinds.PULL_SECRET,
        }
    )

    def __init__(
        self,
        harbor: HarborClient,
        keycloak: KeycloakClient,
        clusters: Clusters,
        registry: str | None,
        marks: Marks,
        *,
        probe: bool = True,
        clock: Clock = utc_now,
    ) -> None:
        self._harbor = harbor
        self._client_secrets = ClientSecrets(keycloak, clusters, marks)
        self._clusters = clusters
        self._registry = registry
        self._probe = probe
        self._clock = clock
        self._marks = marks
        self.issuer = Issuer(harbor, marks)
        self._robots = Robots(harbor, self.issuer, marks, clock)
        self.secrets = Secrets(clusters, lambda: self.registry, marks)
        self._planned = DesiredCredentials(
            self.secrets, self._client_secrets, marks, probe=probe, clock=clock
        )

    @property
    def registry(self) -> str:
        """The host of image names, for which the Secrets hold credentials."""
        return host_of(self._registry or self._harbor.info()["registry_url"])

    # Desired

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return robots, Secrets, and the image pull secrets of ServiceAccounts.

        The observed state determines the live robot of each pair, and its full name in Harbor.
        """
        with understood("harbor", f"plan the credentials of team '{team.name}'"):
            return self._planned.of(team, observed)

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the teams' Secrets, whether Harbor accepts their credentials, and the
        ServiceAccounts.

        Args:
            teams: the teams.
            observed: what was observed of Kubernetes, Keycloak and Harbor.
        """
        seen = Observed()
        self._robots.forget({team.project for team in teams})
        namespaces = {
            id.key
            for id, live in observed.live.items()
            if id.kind == kubernetes_kinds.NAMESPACE and not live.foreign
        }
        robots = rows_by_project(observed)
        system_robots = SystemRobots(self._harbor)
        for part in map_concurrently(
            lambda team: self._observe_team(team, namespaces, observed, robots, system_robots),
            teams,
        ):
            seen.add(part)
        owners = {ns: team.name for team in teams for ns in team.namespaces if ns in namespaces}
        found = objects.observe(
            self._clusters.home,
            kubernetes_kinds.SERVICE_ACCOUNT,
            owners,
            seen,
            fieldSelector=f"metadata.name={ACCOUNT}",
        )
        by_name = {team.name: team for team in teams}
        for account in found:
            metadata = account["metadata"]
            id = objects.id_of(
                kubernetes_kinds.SERVICE_ACCOUNT, metadata["name"], metadata["namespace"]
            )
            with seen.capture_errors(id, owners[metadata["namespace"]]):
                seen.live[id] = Live(attached(account))
                team = by_name[owners[metadata["namespace"]]]
                added = recorded(team, observed, kubernetes_kinds.PULL_SECRET)
                seen.live.update(still_attached(team, account, added))
        return seen

    def is_past_retirement(self, team: Team, robot: Id, observed: Observed) -> bool:
        """Return whether a robot should have been deleted, so that it is an extra.

        See `is_past_retirement` in `retired.py`.
        """
        return is_past_retirement(team, robot, observed, self._clock())

    def is_in_use(self, team: Team, robot: Id, observed: Observed) -> bool:
        """Return whether a robot of another owner serves a purpose of a team, or rotation retires it."""
        row = observed.live[robot].handle
        return row is not None and is_in_use(team, row, observed, self._clock())

    def _observe_team(
        self,
        team: Team,
        namespaces: Collection[str],
        observed: Observed,
        robots: Mapping[str, list[Row]],
        system_robots: SystemRobots,
    ) -> Observed:
        seen = Observed()
        tried: dict[Credential, bool] = {}
        harbor = observed.is_known(whole_system("harbor"))
        probe = self._probe and harbor and observed.is_known(project_id(team.project))
        own = robots.get(team.project, ())
        for purpose in team.active_robots:
            why, kept = "", None
            for place in places(team, purpose):
                with seen.capture_errors(place.id, team.name):
                    if not place.is_foreign and place.namespace not in namespaces:
                        continue
                    live = self.secrets.read(place, harbor=harbor)
                    if live is not None:
                        foreign = find_foreign(place, live, own, system_robots) if harbor else None
                        if foreign is None and kept and names_robot(live, kept):
                            foreign = kept  # a copy of the first Secret's credential
                        if probe:
                            names = {row["name"] for row in (*own, *filter(None, [foreign]))}
                            accepted = self.issuer.accepts(live.handle["credential"], names, tried)
                            state = ACCEPTED if accepted else REJECTED
                            live = replace(live, fields={**live.fields, "credential": state})
                        else:
                            accepted = foreign is not None and works(foreign, self._clock())
                        handle = {**live.handle, FOREIGN: foreign if accepted else None}
                        kept = handle[FOREIGN] if place.is_first else kept
                        seen.live[place.id] = replace(live, handle=handle)
                        continue
                    if place.is_first and has_robot(place, observed):
                        why = changed_secret(place, self._clusters.of(place.id), self._marks)
                    if why:  # all Secrets of the pair need the credential in that Secret
                        seen.live[place.id] = refused(place, why)
                    elif place.is_foreign and self.secrets.lacks_namespace(place):
                        seen.waiting[place.id] = f"there is no namespace '{place.namespace}'"
        self._client_secrets.observe(team, namespaces, observed, seen)
        observe_left(self._clusters, self._marks, team, observed, seen)
        return seen

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            self._delete(change)
            return
        match change.id.kind:
            case harbor_kinds.ROBOT:
                self._robots.apply(change)
            case kubernetes_kinds.SERVICE_ACCOUNT:
                self._apply_account(change)
            case kubernetes_kinds.SECRET:
                self._apply_secret(change, observed)
            case _:
                raise unknown_kind(change)

    def _apply_account(self, change: Change) -> None:
        cluster, listed = self._clusters.of(change.id), change.resource.fields["imagePullSecrets"]
        if unwanted := [name for name, state in listed.items() if state is None]:
            detach(cluster, change.id.key.partition("/")[0], *unwanted)
        else:
            attach(cluster, change)

    def _apply_secret(self, change: Change, observed: Observed) -> None:
        body: RobotSecret | ClientSecret = change.resource.body
        if change.resource.fields == kubernetes_kinds.SECRET.revocation:
            self.secrets.empty(change)
        elif not isinstance(body, RobotSecret):
            self._client_secrets.apply(change)
        elif change.action == "adopt" and change.writes_only_marks:
            self.secrets.mark(change)
        elif body.robot is None:
            self.secrets.apply(change, self._kept_credential(body, observed))
        else:
            self.secrets.apply(change, self._robots.valid_credential(body, body.robot, observed))

    def _kept_credential(self, secret: RobotSecret, observed: Observed) -> Credential:
        """Return the credential of another owner's robot that the first Secret keeps.

        Raises:
            ChangedMeanwhile: the first Secret does not hold it.
        """
        first = observed.live.get(places(secret.place.team, secret.place.purpose)[0].id)
        held: Credential | None = first.handle["credential"] if first else None
        if held is None:
            call = f"Secret {secret.place.namespace}/{secret.place.name}"
            raise ChangedMeanwhile("kubernetes", call, "the first Secret holds no credential")
        return held

    def _delete(self, change: Change) -> None:
        assert change.live is not None
        match change.id.kind:
            case harbor_kinds.ROBOT:
                self._harbor.delete(f"/robots/{change.live.handle['id']}")
            case kubernetes_kinds.SECRET:
                objects.apply(self._clusters.of(change.id), change)
            case kubernetes_kinds.PULL_SECRET:
                namespace, _, name = change.id.key.split("/")
                detach(self._clusters.of(change.id), namespace, name)
            case _:
                raise unknown_kind(change)
