"""The adapter for credentials: robots, OIDC clients, and the Secrets that hold their credentials.

Harbor shows the secret of a robot once, when the robot is created or its secret is renewed. Tenantry
writes it into the Secret at once, after a login with it has worked. So one adapter handles a robot and its
Secrets: if a Secret is lost, or Harbor rejects the credential in it, the robot gets a new secret, and the
Secret is written. The secret of an OIDC client can be read from Keycloak at any time, and is copied.

Onboarding and rotation create robots (`issuing.py`), and write their Secrets (`places.py`), in the same way.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tenantry.answers import understood
from tenantry.calls import Clock, map_concurrently, utc_now
from tenantry.declared import Robot, Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import Marks, ProjectMark
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Id, Live, Observed, Resource, whole_system
from tenantry.systems.credentials import pairs
from tenantry.systems.credentials.accounts import ACCOUNT, attach, attached, attachments
from tenantry.systems.credentials.clients import ClientSecret, ClientSecrets
from tenantry.systems.credentials.contents import (
    Credential,
    host_of,
)
from tenantry.systems.credentials.issuing import Issuer, Made
from tenantry.systems.credentials.observed import (
    holds,
    live_robot,
    names_by_project,
    refuse_unread,
    stored_credentials,
)
from tenantry.systems.credentials.observed import rows as rows_of
from tenantry.systems.credentials.pairs import KEPT, ROBOT
from tenantry.systems.credentials.places import (
    Place,
    RobotSecret,
    Secrets,
    annotations_of,
    places,
)
from tenantry.systems.harbor import kinds as harbor_kinds
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.robots import FAR_OFF, Lifetime, expires_at, permissions, robot_id
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes import kinds as kubernetes_kinds
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.clusters import Clusters

_OPENS, _CLOSED = "opens Harbor", "does not open Harbor"


class TeamCredentials:
    """Robots, the Secrets of robots and OIDC clients, and what the pods pull with.

    Attributes:
        issuer: makes robots, and tries what opens Harbor.
        secrets: reads and writes the robots' Secrets.
    """

    name = "Credentials"
    system = "kubernetes"
    kinds = frozenset(
        {harbor_kinds.ROBOT, kubernetes_kinds.SECRET, kubernetes_kinds.SERVICE_ACCOUNT}
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
        self.secrets = Secrets(clusters, lambda: self.registry, marks)
        self._proven: dict[Id, Credential] = {}
        self._made: dict[Id, Made] = {}

    @property
    def registry(self) -> str:
        """The host that image names begin with, and so what the Secrets are for."""
        return host_of(self._registry or self._harbor.info()["registry_url"])

    # Desired

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return robots, Secrets, and what is attached to the ServiceAccounts.

        What was observed decides which robot of a pair is the live one, and what
        Harbor calls it.
        """
        with understood("harbor", f"plan the credentials of team '{team.name}'"):
            return self._desired(team, observed)

    def _desired(self, team: Team, observed: Observed) -> list[Resource]:
        wanted: list[Resource] = []
        project_of_team = project_id(team.slug)
        project = observed.live.get(project_of_team)
        kept = project is None or (project.ours and not project.handle["adopted"])
        mark: ProjectMark = "created" if kept else "adopted"
        for purpose, robot in team.active_robots.items():
            short = live_robot(team, purpose, observed, self._clock())
            id = robot_id(team.slug, short)
            fields: dict[str, Any] = {
                "access": sorted(set(robot.access)),
                "disabled": False,
                "lifetime": robot.expiry_days,
            }
            if self._marks.is_known:  # it is the mark of the robot and of its project
                fields["description"] = self._marks.description(mark, team.name)
            known = observed.live.get(id)
            if robot.rotation is None or self._has_expired(known):  # else it is rotated before
                fields["expiry"] = FAR_OFF
            wanted.append(
                Resource(
                    id,
                    fields,
                    body=(robot, mark),
                    owner=project_of_team,
                )
            )
            for place in places(team, purpose):
                wanted.append(self._secret(place, id, observed))
        wanted.extend(
            self._client_secrets.desired(team, name, observed) for name in team.oidc_clients
        )
        wanted.extend(attachments(team))
        return wanted

    def _has_expired(self, robot: Live | None) -> bool:
        expires = expires_at(robot.handle) if robot else None
        return expires is not None and expires <= self._clock()

    def _secret(self, place: Place, robot: Id, observed: Observed) -> Resource:
        short = robot.key.rsplit("/", 1)[-1]
        known = observed.live.get(robot)
        fields: dict[str, Any] = {}
        if observed.is_known(whole_system("harbor")):
            fields["registry"] = self.registry
            if known is not None:
                fields["username"] = known.handle["name"]
            if self._probe and observed.is_known(project_id(place.team.slug)):
                fields["credential"] = _OPENS
        annotations = {ROBOT: short}
        if place.is_first:
            held = annotations_of(observed.live.get(place.id))
            annotations |= {key: held[key] for key in KEPT if key in held}
        return self.secrets.resource(place, robot, annotations, fields)

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the teams' Secrets and whether they work, and the ServiceAccounts.

        Args:
            teams: the teams.
            observed: what was observed of Kubernetes, Keycloak and Harbor.
        """
        seen = Observed()
        projects = {team.slug for team in teams}
        for robot in [id for id in self._proven if id.key.split("/")[0] in projects]:
            del self._proven[robot]  # it may have been rotated since
            self._made.pop(robot, None)
        present = {
            id.key
            for id, live in observed.live.items()
            if id.kind == kubernetes_kinds.NAMESPACE and not live.foreign
        }
        robots = names_by_project(observed)
        for part in map_concurrently(
            lambda team: self._observe_team(team, present, observed, robots), teams
        ):
            seen.add(part)
        owners = {ns: team.name for team in teams for ns in team.namespaces if ns in present}
        found = objects.observe(
            self._clusters.home,
            kubernetes_kinds.SERVICE_ACCOUNT,
            owners,
            seen,
            fieldSelector=f"metadata.name={ACCOUNT}",
        )
        for account in found:
            metadata = account["metadata"]
            id = objects.id_of(
                kubernetes_kinds.SERVICE_ACCOUNT, metadata["name"], metadata["namespace"]
            )
            with seen.capture_errors(id, owners[metadata["namespace"]]):
                seen.live[id] = Live(attached(account))
        return seen

    def outstayed(self, team: Team, robot: Id, observed: Observed) -> bool:
        """Whether a robot that is there beside the team's live ones is one too many: an extra.

        An old robot of a pair is not while it overlaps, nor while it waits, disabled, for its
        deletion, nor while a Secret of the pair holds its credential, or may hold it. A Secret in a
        namespace of the team keeps it only until the live robot is as old as it may get.

        Args:
            team: the team.
            robot: one that nobody declares.
            observed: what was seen of Harbor and of the team's Secrets.
        """
        short = robot.key.rsplit("/", 1)[-1]
        purpose = short.rpartition("-")[0]
        if purpose not in team.active_robots:
            return True
        robot_declared, now = team.active_robots[purpose], self._clock()
        live = live_robot(team, purpose, observed, now)
        rows = rows_of(team, purpose, observed)
        end = pairs.latest_end(rows[live], robot_declared) if live in rows else None
        lasting = end is None or now < end
        for place in (p for p in places(team, purpose) if p.is_foreign or lasting):
            # A Secret that could not be read may hold its credential.
            if not observed.is_known(place.id) or holds(short, observed.live.get(place.id)):
                return False
        annotations = annotations_of(observed.live.get(places(team, purpose)[0].id))
        kept = pairs.in_rotation(live, annotations, rows, robot_declared, now)
        return short not in set(kept)

    def _observe_team(
        self,
        team: Team,
        namespaces: Collection[str],
        observed: Observed,
        robots: Mapping[str, Collection[str]],
    ) -> Observed:
        seen = Observed()
        tried: dict[Credential, bool] = {}
        harbor = observed.is_known(whole_system("harbor"))
        probe = self._probe and harbor and observed.is_known(project_id(team.slug))
        own = robots.get(team.slug, ())
        for purpose in team.active_robots:
            for place in places(team, purpose):
                with seen.capture_errors(place.id, team.name):
                    if not place.is_foreign and place.namespace not in namespaces:
                        continue
                    live = self.secrets.read(place, harbor=harbor)
                    if live is not None:
                        if probe:
                            opens = self.issuer.opens(live.handle["credential"], own, tried)
                            told = {"credential": _OPENS if opens else _CLOSED}
                            live = replace(live, fields={**live.fields, **told})
                        seen.live[place.id] = live
                    elif place.is_foreign and self.secrets.waits(place):
                        seen.waiting[place.id] = f"there is no namespace '{place.namespace}'"
        self._client_secrets.observe(team, namespaces, observed, seen)
        return seen

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            self._delete(change)
            return
        match change.id.kind:
            case harbor_kinds.ROBOT:
                self._apply_robot(change)
            case kubernetes_kinds.SERVICE_ACCOUNT:
                attach(self._clusters.of(change.id), change)
            case kubernetes_kinds.SECRET:
                self._apply_secret(change, observed)
            case _:
                raise unknown_kind(change)

    def _apply_secret(self, change: Change, observed: Observed) -> None:
        body: RobotSecret | ClientSecret = change.resource.body
        if isinstance(body, RobotSecret):
            self.secrets.apply(change, self._valid_credential(body, observed))
        else:
            self._client_secrets.apply(change)

    def _delete(self, change: Change) -> None:
        assert change.live is not None
        match change.id.kind:
            case harbor_kinds.ROBOT:
                self._harbor.delete(f"/robots/{change.live.handle['id']}")
            case kubernetes_kinds.SECRET:
                objects.apply(self._clusters.of(change.id), change)
            case _:
                raise unknown_kind(change)

    def _apply_robot(self, change: Change) -> None:
        project, short = change.id.key.split("/")
        robot: Robot
        robot, mark = change.resource.body
        days = -1 if robot.expiry_days == "never" else robot.expiry_days
        if change.live is not None:
            row = change.live.handle
            lifetime: Lifetime = change.live.fields["lifetime"]
            if {"lifetime", "expiry"} & {found.field for found in change.differences}:
                row = {**row, "duration": days if days < 0 else lifetime.renewed(days)}
            # A full replace: what is left out would be blanked, and a disabled robot enabled.
            description = self._marks.description(mark, project.removeprefix("team-"))
            own = {"description": description, "disable": False}
            body = {**row, **own, "permissions": permissions(project, robot)}
            self._harbor.put(f"/robots/{row['id']}", body)
            return
        made = self.issuer.make(project, short, robot, mark)
        self._made[change.id] = made
        self._prove(change.id, made.credential)

    def _valid_credential(self, secret: RobotSecret, observed: Observed) -> Credential:
        """Return a credential of the robot that Harbor accepts: a stored one, or a new one.

        Raises:
            TenantryError: the stored ones could not be read, or the robot is gone. Nothing is
                renewed then: one of them may be in use.
        """
        if secret.robot in self._proven:
            return self._proven[secret.robot]
        if (live := observed.live.get(secret.robot)) is not None:
            number, name = live.handle["id"], live.handle["name"]
        elif (made := self._made.get(secret.robot)) is not None:
            number, name = made.number, made.credential.username
        else:
            raise ChangedMeanwhile("harbor", "GET /api/v2.0/robots", f"{secret.robot} is gone")
        for candidate in stored_credentials(secret, name, observed):
            if self.issuer.opens(candidate, {name}, {}):
                self._proven[secret.robot] = candidate
                return candidate
        refuse_unread(secret, observed)
        self._prove(secret.robot, self.issuer.renew(number, name))
        return self._proven[secret.robot]

    def _prove(self, robot: Id, credential: Credential) -> None:
        self.issuer.prove(credential)
        self._proven[robot] = credential
