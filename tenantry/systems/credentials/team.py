"""Credentials: what one system issues and a Secret of the team's namespace holds.

Harbor shows a robot's secret once, when it is made or renewed. It goes from that
answer straight into the Secret, after a login has proven it. So a robot and its
Secret are one matter: where a robot's Secret is lost, or does not open Harbor, the
robot gets a new secret and the Secret is written. An OIDC client's secret can be
read back from Keycloak, and is copied.

A robot's Secrets are its places (places.py). Onboarding and rotation write them, and make robots
(issuing.py), in the same way.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tenantry.answers import texts, understood
from tenantry.calls import Clock, map_concurrently, utc_now
from tenantry.declared import Robot, Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import Marks, ProjectMark, labels
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Id, Live, Observed, Resource, whole_system
from tenantry.systems.credentials import pairs
from tenantry.systems.credentials.accounts import ACCOUNT, attach, attached, attachments, secret_id
from tenantry.systems.credentials.contents import (
    Credential,
    decode,
    encode,
    host_of,
    metadata_of,
)
from tenantry.systems.credentials.issuing import Issuer, Made
from tenantry.systems.credentials.pairs import KEPT, ROBOT
from tenantry.systems.credentials.places import (
    Place,
    RobotSecret,
    Secrets,
    annotations_of,
    places,
    renamed,
    write,
)
from tenantry.systems.harbor import kinds as harbor_kinds
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.robots import FAR_OFF, Lifetime, expires_at, permissions, robot_id
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.kinds import CLIENT
from tenantry.systems.keycloak.team import client_id
from tenantry.systems.kubernetes import kinds as kubernetes_kinds
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.clusters import Clusters

_OPENS, _CLOSED = "opens Harbor", "does not open Harbor"
_SAME, _OTHER = "(hidden) as in Keycloak", "(hidden) not as in Keycloak"


@dataclass(frozen=True)
class _ClientSecret:
    """A Secret that holds an OIDC client's."""

    team: Team
    client: str
    namespace: str
    name: str


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
        self._keycloak = keycloak
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
            short = _live_robot(team, purpose, observed, self._clock())
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
        wanted.extend(self._oidc_secret(team, name, observed) for name in team.oidc_clients)
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

    def _oidc_secret(self, team: Team, name: str, observed: Observed) -> Resource:
        sink = _ClientSecret(team, client_id(team, name), team.slug, f"oidc-{name}")
        fields: dict[str, Any] = {
            "metadata": {
                "labels": labels(team.name),
                "annotations": self._marks.versioned(team.name),
            },
            "type": "Opaque",
            "client_id": sink.client,
        }
        if observed.is_known(whole_system("keycloak")):
            fields["issuer"] = self._keycloak.issuer_to_be()
        fields["client_secret"] = None if team.oidc_clients[name].public else _SAME
        return Resource(
            secret_id(team.slug, sink.name),
            fields,
            body=sink,
            depends_on=(Id(CLIENT, sink.client), Id(kubernetes_kinds.NAMESPACE, team.slug)),
        )

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
        namespaces = (
            pair for pair in observed.live.items() if pair[0].kind == kubernetes_kinds.NAMESPACE
        )
        present = {id.key for id, live in namespaces if not live.foreign}
        robots = _names_by_project(observed)
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
        live = _live_robot(team, purpose, observed, now)
        rows = _rows(team, purpose, observed)
        end = pairs.latest_end(rows[live], robot_declared) if live in rows else None
        lasting = end is None or now < end
        for place in (p for p in places(team, purpose) if p.is_foreign or lasting):
            # A Secret that could not be read may hold its credential.
            if not observed.is_known(place.id) or _holds(short, observed.live.get(place.id)):
                return False
        annotations = annotations_of(observed.live.get(places(team, purpose)[0].id))
        kept = pairs.in_rotation(live, annotations, rows, robot_declared, now)
        return short not in set(kept)

    def _observe_team(
        self,
        team: Team,
        present: Collection[str],
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
                    if not place.is_foreign and place.namespace not in present:
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
        for client in team.oidc_clients:
            id = secret_id(team.slug, f"oidc-{client}")
            with seen.capture_errors(id, team.name):
                secret = self._read(team.slug, f"oidc-{client}", present)
                if secret is not None:
                    owner = Id(CLIENT, client_id(team, client))
                    seen.live[id] = _oidc_live(secret, observed, owner)
        return seen

    def _read(self, namespace: str, name: str, present: Collection[str]) -> Object | None:
        return self._clusters.home.get("Secret", name, namespace) if namespace in present else None

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
        body: RobotSecret | _ClientSecret = change.resource.body
        if isinstance(body, RobotSecret):
            self.secrets.apply(change, self._working(body, observed))
        else:
            cluster = self._clusters.of(change.id)
            write(cluster, change, body.team, self._oidc_data(body), self._marks)

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

    def _working(self, sink: RobotSecret, observed: Observed) -> Credential:
        """Return a credential of the robot that Harbor accepts: a stored one, or a new one.

        Raises:
            TenantryError: the stored ones could not be read, or the robot is gone. Nothing is
                renewed then: one of them may be in use.
        """
        if sink.robot in self._proven:
            return self._proven[sink.robot]
        if (live := observed.live.get(sink.robot)) is not None:
            number, name = live.handle["id"], live.handle["name"]
        elif (made := self._made.get(sink.robot)) is not None:
            number, name = made.number, made.credential.username
        else:
            raise ChangedMeanwhile("harbor", "GET /api/v2.0/robots", f"{sink.robot} is gone")
        for candidate in _held(sink, name, observed):
            if self.issuer.opens(candidate, {name}, {}):
                self._proven[sink.robot] = candidate
                return candidate
        _refuse_unread(sink, observed)
        self._prove(sink.robot, self.issuer.renew(number, name))
        return self._proven[sink.robot]

    def _prove(self, robot: Id, credential: Credential) -> None:
        self.issuer.prove(credential)
        self._proven[robot] = credential

    def _oidc_data(self, sink: _ClientSecret) -> dict[str, str]:
        found = self._keycloak.rows("clients", clientId=sink.client)
        if not found:
            call = f"GET /admin/realms/{self._keycloak.realm}/clients"
            raise ChangedMeanwhile("keycloak", call, f"client '{sink.client}' is gone")
        data = {"client_id": sink.client, "issuer": self._keycloak.issuer}
        if not found[0]["publicClient"]:
            path = f"clients/{found[0]['id']}/client-secret"
            call = f"GET /admin/realms/{self._keycloak.realm}/{path}"
            (secret,) = texts("keycloak", call, self._keycloak.get(path), "value")
            data["client_secret"] = secret
        return {key: encode(value) for key, value in data.items()}


def _names_by_project(observed: Observed) -> dict[str, set[str]]:
    """Return the full names of all robots that were seen, by their projects."""
    names: dict[str, set[str]] = defaultdict(set)
    for id, live in observed.live.items():
        if id.kind == harbor_kinds.ROBOT:
            names[id.key.partition("/")[0]].add(live.handle["name"])
    return names


def _rows(team: Team, purpose: str, observed: Observed) -> dict[str, Row]:
    """The robots of a pair that there are, by short name."""
    known = ((s, observed.live.get(robot_id(team.slug, s))) for s in pairs.pair(purpose))
    return {short: live.handle for short, live in known if live is not None}


def _holds(short: str, secret: Live | None) -> bool:
    """Return whether a Secret holds the credential of a robot."""
    return secret is not None and _held_by(secret) == short


def _held_by(secret: Live) -> str:
    """Return the short name of the robot whose credential a Secret holds; empty if it holds none."""
    held: Credential | None = secret.handle["credential"]
    return pairs.short_of(held.username) if held else ""


def _live_robot(team: Team, purpose: str, observed: Observed, now: datetime) -> str:
    """Return the live robot of a pair, as its Secrets and Harbor show it."""
    first, *others = (observed.live.get(place.id) for place in places(team, purpose))
    held = [_held_by(first) if first is not None and first.ours else ""]
    held += [_held_by(other) for other in others if other is not None]
    rows = _rows(team, purpose, observed)
    robot = team.active_robots[purpose]
    return pairs.live_robot(purpose, robot, annotations_of(first), held, rows, now)


def _held(sink: RobotSecret, username: str, observed: Observed) -> Iterator[Credential]:
    """The robot's credentials that were found in its Secrets, without repetition.

    Harbor's prefix of all robots' names may have been changed since: that leaves the passwords.
    """
    seen: set[Credential] = set()
    for place in places(sink.place.team, sink.place.purpose):
        live = observed.live.get(place.id)
        found = live.handle["credential"] if live else None
        credential = renamed(found, username) if found else None
        if credential is not None and credential not in seen:
            seen.add(credential)
            yield credential


def _refuse_unread(sink: RobotSecret, observed: Observed) -> None:
    """Refuse to give a robot a new secret while a stored one may work that could not be read.

    Raises:
        TenantryError: Harbor, or one of the robot's Secrets, could not be read.
    """
    for needed in (
        whole_system("harbor"),
        *(p.id for p in places(sink.place.team, sink.place.purpose)),
    ):
        if not observed.is_known(needed):
            unread = observed.unreadable.get(needed)
            raise (
                unread.error
                if unread
                else ChangedMeanwhile(
                    "harbor", f"credential of {sink.robot}", f"{needed} could not be read"
                )
            )


def _oidc_live(secret: Object, observed: Observed, client: Id) -> Live:
    data = secret.get("data") or {}
    owner = observed.live.get(client)
    expected = owner.handle.get("secret") if owner else None
    same = expected is not None and data.get("client_secret") == encode(expected)
    same = same or not observed.is_known(client)  # nobody can tell
    fields = {
        "metadata": metadata_of(secret),
        "type": secret.get("type"),
        "client_id": decode(data.get("client_id")),
        "issuer": decode(data.get("issuer")),
        "client_secret": (_SAME if same else _OTHER) if "client_secret" in data else None,
    }
    uid = secret["metadata"]["uid"]
    return Live(fields, objects.is_ours(secret), handle={"uid": uid, "credential": None})
