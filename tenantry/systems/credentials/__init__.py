"""Credentials: what one system issues and a Secret of the team's namespace holds.

Harbor shows a robot's secret once, when it is made or renewed. It goes from that
answer straight into the Secret, after a login has proven it. So a robot and its
Secret are one matter: where a robot's Secret is lost, or does not open Harbor, the
robot gets a new secret and the Secret is written. An OIDC client's secret can be
read back from Keycloak, and is copied.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tenantry.calls import each
from tenantry.declared import Robot, Team
from tenantry.errors import (
    BrokenPromise,
    ChangedMeanwhile,
    SystemRefused,
    SystemUnavailable,
)
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource, whole
from tenantry.systems.credentials.accounts import ACCOUNT, attach, attached, attachments, secret_id
from tenantry.systems.credentials.contents import (
    DOCKER,
    Credential,
    decode,
    docker_content,
    docker_data,
    encode,
    host_of,
    marks,
)
from tenantry.systems.harbor import project_id
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.marks import ProjectMark, description
from tenantry.systems.harbor.robots import FAR_OFF, Lifetime, permissions, robot_id
from tenantry.systems.keycloak import client_id
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object

ROBOT = "tenantry.io/robot"
"""Annotation of a Secret: which robot of the pair it holds, such as `pull-a`."""
_OPENS, _CLOSED = "opens Harbor", "does not open Harbor"
_SAME, _OTHER = "(hidden) as in Keycloak", "(hidden) not as in Keycloak"


@dataclass(frozen=True)
class _RobotSecret:
    """A Secret that holds a robot's credential."""

    team: Team
    robot: Id
    namespace: str
    name: str


@dataclass(frozen=True)
class _ClientSecret:
    """A Secret that holds an OIDC client's."""

    team: Team
    client: str
    namespace: str
    name: str


class Credentials:
    """Robots, the Secrets of robots and OIDC clients, and what the pods pull with."""

    def __init__(
        self,
        harbor: HarborClient,
        keycloak: KeycloakClient,
        kubernetes: KubernetesClient,
        registry: str | None,
        *,
        probe: bool = True,
    ) -> None:
        self._harbor = harbor
        self._keycloak = keycloak
        self._kubernetes = kubernetes
        self._registry = registry
        self._probe = probe
        self._proven: dict[Id, Credential] = {}
        self._robots: dict[Id, tuple[int, str]] = {}  # number and full name

    @property
    def registry(self) -> str:
        """The host that image names begin with, and so what the Secrets are for."""
        return self._registry or host_of(self._harbor.info()["registry_url"])

    # Desired

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Robots, Secrets, and what is attached to the ServiceAccounts.

        What was observed decides which robot of a pair is the live one, and what
        Harbor calls it.
        """
        wanted: list[Resource] = []
        shares = project_id(team.slug)
        project = observed.live.get(shares)
        kept = project is None or (project.ours and not project.handle["adopted"])
        mark: ProjectMark = "created" if kept else "adopted"
        for purpose, robot in team.active_robots.items():
            short = _live_robot(team, purpose, observed)
            id = robot_id(team.slug, short)
            fields = {
                "access": sorted(set(robot.access)),
                "disabled": False,
                "lifetime": robot.expiry_days,
                "expiry": FAR_OFF,
            }
            wanted.append(
                Resource(
                    id,
                    "Credentials",
                    fields,
                    body=(robot, mark),
                    shares=shares,
                    working=("disabled", "expiry"),
                )
            )
            known = observed.live.get(id)
            if known is not None:
                self._robots[id] = (known.handle["id"], known.handle["name"])
            for namespace in _namespaces(team, robot):
                wanted.append(self._secret(team, purpose, id, namespace, observed))
        wanted.extend(self._oidc_secret(team, name, observed) for name in team.oidc_clients)
        wanted.extend(attachments(team))
        return wanted

    def _secret(
        self, team: Team, purpose: str, robot: Id, namespace: str, observed: Observed
    ) -> Resource:
        sink = _RobotSecret(team, robot, namespace, f"harbor-{purpose}")
        short = robot.key.rsplit("/", 1)[-1]
        metadata = {"labels": objects.labels(team), "annotations": {ROBOT: short}}
        fields: dict[str, Any] = {"metadata": metadata, "type": DOCKER}
        if observed.is_known(whole("harbor")):
            fields["registry"] = self.registry
            if (known := observed.live.get(robot)) is not None:
                fields["username"] = known.handle["name"]
            if self._probe:
                fields["credential"] = _OPENS
        return Resource(
            secret_id(namespace, sink.name),
            "Credentials",
            fields,
            body=sink,
            fixed=("type",),
            working=("registry", "username", "credential"),
            inside=(robot, objects.id_of("Namespace", namespace)),
        )

    def _oidc_secret(self, team: Team, name: str, observed: Observed) -> Resource:
        sink = _ClientSecret(team, client_id(team, name), team.slug, f"oidc-{name}")
        fields: dict[str, Any] = {
            "metadata": {"labels": objects.labels(team)},
            "type": "Opaque",
            "client_id": sink.client,
        }
        if observed.is_known(whole("keycloak")):
            fields["issuer"] = self._keycloak.issuer
        fields["client_secret"] = None if team.oidc_clients[name].public else _SAME
        return Resource(
            secret_id(team.slug, sink.name),
            "Credentials",
            fields,
            body=sink,
            fixed=("type",),
            working=("issuer", "client_secret"),
            inside=(
                Id("keycloak", "client", sink.client),
                objects.id_of("Namespace", team.slug),
            ),
        )

    # Observed

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """The teams' Secrets and whether they work, and the ServiceAccounts.

        Args:
            teams: the teams.
            observed: what was seen of Kubernetes, Keycloak and Harbor.
        """
        seen = Observed()
        projects = {team.slug for team in teams}
        for robot in [id for id in self._proven if id.key.split("/")[0] in projects]:
            del self._proven[robot]  # what was proven before this look may have been rotated since
        present = {id.key for id in observed.live if id.kind == "Namespace"}
        for part in each(lambda team: self._observe_team(team, present, observed), teams):
            seen.add(part)
        namespaces = [ns for team in teams for ns in team.namespaces if ns in present]
        found = objects.observe(
            self._kubernetes, "ServiceAccount", namespaces, fieldSelector=f"metadata.name={ACCOUNT}"
        )
        for account in found:
            metadata = account["metadata"]
            id = objects.id_of("ServiceAccount", metadata["name"], metadata["namespace"])
            seen.live[id] = Live(attached(account))
        return seen

    def _observe_team(self, team: Team, present: Collection[str], observed: Observed) -> Observed:
        seen = Observed()
        tried: dict[Credential, bool] = {}
        harbor = observed.is_known(whole("harbor"))
        for purpose, robot in team.active_robots.items():
            for namespace in _namespaces(team, robot):
                id = secret_id(namespace, f"harbor-{purpose}")
                with seen.noting(id, team.name):
                    secret = self._read(namespace, f"harbor-{purpose}", present)
                    if secret is not None:
                        seen.live[id] = self._docker_live(secret, tried, harbor=harbor)
        for client in team.oidc_clients:
            id = secret_id(team.slug, f"oidc-{client}")
            with seen.noting(id, team.name):
                secret = self._read(team.slug, f"oidc-{client}", present)
                if secret is not None:
                    owner = Id("keycloak", "client", client_id(team, client))
                    seen.live[id] = _oidc_live(secret, observed, owner)
        return seen

    def _read(self, namespace: str, name: str, present: Collection[str]) -> Object | None:
        return self._kubernetes.get("Secret", name, namespace) if namespace in present else None

    def _docker_live(self, secret: Object, tried: dict[Credential, bool], *, harbor: bool) -> Live:
        """A Secret as it was observed: for which host, whose, and whether it opens Harbor."""
        fields = {"metadata": marks(secret), "type": secret.get("type")}
        credential = None
        if harbor:
            fields["registry"], credential = docker_content(secret, self.registry)
            fields["username"] = credential.username if credential else None
        if harbor and self._probe:
            if credential is not None and credential not in tried:
                tried[credential] = self._harbor.opens(credential.username, credential.password)
            opens = credential is not None and tried[credential]
            fields["credential"] = _OPENS if opens else _CLOSED
        handle = {"uid": secret["metadata"]["uid"], "credential": credential}
        return Live(fields, objects.is_ours(secret), handle=handle)

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Carries out one change."""
        if change.id.kind == "robot":
            self._apply_robot(change)
        elif change.id.kind == "ServiceAccount":
            attach(self._kubernetes, change)
        elif isinstance(change.resource.body, _RobotSecret):
            sink = change.resource.body
            credential = self._working(sink, observed)
            self._write(change, docker_data(self.registry, credential))
        else:
            self._write(change, self._oidc_data(change.resource.body))

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
            own = {"description": description(mark), "disable": False}
            body = {**row, **own, "permissions": permissions(project, robot)}
            self._harbor.put(f"/robots/{row['id']}", body)
            return
        body = {
            "name": short,
            "description": description(mark),
            "level": "project",
            "duration": days,
            "permissions": permissions(project, robot),
        }
        try:
            made = self._harbor.post("/robots", body)
        except SystemRefused as error:
            if error.status != 409:
                raise
            raise ChangedMeanwhile(error.system, error.call, error.reason, status=409) from error
        answer: Any = made.json() if made.content else None
        name, secret = _texts("harbor", "POST /api/v2.0/robots", answer, "name", "secret")
        self._robots[change.id] = (answer.get("id"), name)
        self._prove(change.id, Credential(name, secret))

    def _working(self, sink: _RobotSecret, observed: Observed) -> Credential:
        """A credential of the robot that opens Harbor: one that is there, or a new one."""
        if sink.robot in self._proven:
            return self._proven[sink.robot]
        if sink.robot not in self._robots:
            raise ChangedMeanwhile("harbor", "GET /api/v2.0/robots", f"{sink.robot} is gone")
        number, name = self._robots[sink.robot]
        for candidate in _held(sink, name, observed):
            if self._harbor.opens(candidate.username, candidate.password):
                self._proven[sink.robot] = candidate
                return candidate
        answer = self._harbor.patch(f"/robots/{number}", {})
        call = f"PATCH /api/v2.0/robots/{number}"
        (secret,) = _texts("harbor", call, answer, "secret")
        self._prove(sink.robot, Credential(name, secret))
        return self._proven[sink.robot]

    def _prove(self, robot: Id, credential: Credential) -> None:
        """A new secret counts once it has opened Harbor: a write beside ours may have undone it."""
        if not self._harbor.opens(credential.username, credential.password):
            number, name = self._robots[robot]
            raise BrokenPromise(
                "harbor",
                f"PATCH /api/v2.0/robots/{number}",
                f"the new secret of robot '{name}' does not open Harbor; somebody else may be "
                "changing that robot, or it may be disabled or expired",
            )
        self._proven[robot] = credential

    def _oidc_data(self, sink: _ClientSecret) -> dict[str, str]:
        found = self._keycloak.get("clients", clientId=sink.client)
        if not found:
            call = f"GET /admin/realms/{self._keycloak.realm}/clients"
            raise ChangedMeanwhile("keycloak", call, f"client '{sink.client}' is gone")
        data = {"client_id": sink.client, "issuer": self._keycloak.issuer}
        if not found[0]["publicClient"]:
            path = f"clients/{found[0]['id']}/client-secret"
            call = f"GET /admin/realms/{self._keycloak.realm}/{path}"
            (secret,) = _texts("keycloak", call, self._keycloak.get(path), "value")
            data["client_secret"] = secret
        return {key: encode(value) for key, value in data.items()}

    def _write(self, change: Change, data: dict[str, str]) -> None:
        """Writes a Secret in place: deleting it first would break pulls in between."""
        sink: _RobotSecret | _ClientSecret = change.resource.body
        fields = change.resource.fields
        content = {"type": fields["type"], "data": data}
        metadata = fields["metadata"]
        wanted = objects.resource(
            "Secret",
            sink.name,
            sink.team,
            content,
            namespace=sink.namespace,
            annotations=metadata.get("annotations"),
        )
        full = Change(change.action, wanted, change.differences, change.live, change.adopts)
        objects.apply(self._kubernetes, full)


def _texts(system: str, call: str, answer: Any, *fields: str) -> list[str]:
    """These fields of an answer, which must be texts; what it holds instead may be secret."""
    found = [answer.get(field) if isinstance(answer, dict) else None for field in fields]
    if not all(isinstance(text, str) and text for text in found):
        raise SystemUnavailable(system, call, f"the answer lacks {' or '.join(fields)}")
    return cast(list[str], found)


def _namespaces(team: Team, robot: Robot) -> list[str]:
    """Where a robot's Secret is kept: everywhere if pods pull with it, else in the first one."""
    return list(team.namespaces) if robot.attach else [team.slug]


def _live_robot(team: Team, purpose: str, observed: Observed) -> str:
    """Which robot of the pair the Secret holds; without one, which there is of them."""
    held = observed.live.get(secret_id(team.slug, f"harbor-{purpose}"))
    pair = (f"{purpose}-a", f"{purpose}-b")
    if held is not None and held.ours:
        annotations = held.fields["metadata"].get("annotations") or {}
        if annotations.get(ROBOT) in pair:
            return str(annotations[ROBOT])
    there = [robot for robot in pair if robot_id(team.slug, robot) in observed.live]
    return (there or pair)[0]


def _held(sink: _RobotSecret, username: str, observed: Observed) -> Iterator[Credential]:
    """The robot's credentials that were found in the team's Secrets, without repetition."""
    seen: set[Credential] = set()
    for namespace in sink.team.namespaces:
        live = observed.live.get(secret_id(namespace, sink.name))
        credential = live.handle["credential"] if live else None
        if credential is not None and credential.username == username and credential not in seen:
            seen.add(credential)
            yield credential


def _oidc_live(secret: Object, observed: Observed, client: Id) -> Live:
    data = secret.get("data") or {}
    owner = observed.live.get(client)
    expected = owner.handle.get("secret") if owner else None
    same = expected is not None and data.get("client_secret") == encode(expected)
    same = same or not observed.is_known(client)  # nobody can tell
    fields = {
        "metadata": marks(secret),
        "type": secret.get("type"),
        "client_id": decode(data.get("client_id")),
        "issuer": decode(data.get("issuer")),
        "client_secret": (_SAME if same else _OTHER) if "client_secret" in data else None,
    }
    uid = secret["metadata"]["uid"]
    return Live(fields, objects.is_ours(secret), handle={"uid": uid, "credential": None})
