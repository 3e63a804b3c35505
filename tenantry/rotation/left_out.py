"""Rotates the credentials of teams that are left out, as the systems show them.

A team whose file is faulty can't be onboarded, and its robots expire all the same. So its existing
credentials are rotated as they are: each pair of robots that Tenantry made and whose first Secret
bears the team's mark, with the permissions, the duration and the Secrets that it has now.

Secrets and their annotations are hostile input. The permissions are those of the robot in Harbor, in
the team's own project. A Secret outside of the team's namespaces is written only if it holds a
working credential of this pair already, and if no other team owns its namespace.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tenantry.declared import LeftOut, Robot, Rotation, SecretSink, Team, complete
from tenantry.declared.team import SecretFormat
from tenantry.errors import readable
from tenantry.resources import Observed
from tenantry.rotation.pair import Unread
from tenantry.systems import Systems
from tenantry.systems.credentials.contents import DOCKER, Credential
from tenantry.systems.credentials.pairs import ROBOT, pair
from tenantry.systems.credentials.places import Place, renamed
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.marks import mark_of
from tenantry.systems.harbor.robots import robot_fields, short_name
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object

_LONGEST = 14
"""The most days before its robot expires that a credential is exchanged, if no policy is known."""


@dataclass(frozen=True)
class Kept:
    """A team that is left out, with the robots that it has; and those that could not be read."""

    team: Team
    unread: tuple[Unread, ...] = ()


def kept_teams(systems: Systems, names: Iterable[str] | None = None) -> list[Kept]:
    """Return the teams that are left out, with their robots as they are.

    A team without any is not among them.

    Args:
        systems: the systems.
        names: the teams that the run is about; all if not given.

    Raises:
        TenantryError: Harbor could not be asked for its projects.
    """
    state = systems.state
    asked = None if names is None else set(names)
    files = {name: each for each in state.left_out for name in each.names}
    files = {name: each for name, each in files.items() if asked is None or name in asked}
    if not files:
        return []
    projects = systems.harbor.projects([f"team-{name}" for name in files], Observed())
    found = []
    for name, each in files.items():
        project = projects.get(f"team-{name}")
        if project is None:
            continue
        try:
            kept = _Reading(systems, name, each, project).kept()
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            failure = readable(error, f"reading the robots of team '{name}'")
            kept = Kept(Team(name=name), (Unread(Team(name=name), "all robots", failure),))
        if kept.team.robots or kept.unread:
            found.append(kept)
    return found


class _Reading:
    """Reads the robots of one team."""

    def __init__(self, systems: Systems, name: str, file: LeftOut, project: Row) -> None:
        self._systems = systems
        self._name = name
        self._slug = f"team-{name}"
        self._credentials = systems.credentials
        listed = systems.harbor.robots(project["project_id"])
        self._rows = {short_name(row): row for row in listed if mark_of([row]) is not None}
        declared = file.team if file.team is not None and file.team.name == name else None
        self._declared = declared or complete(systems.state.platform, Team(name=name))
        self._tried: dict[Credential, bool] = {}

    def kept(self) -> Kept:
        """The team with its robots."""
        marked = self._marked_secrets()
        robots: dict[str, Robot] = {}
        unread: list[Unread] = []
        for purpose, first in self._first_secrets(marked).items():
            try:
                robot = self._robot(purpose, first, marked)
            except Exception as error:  # noqa: BLE001 one purpose's failure, whatever it is
                failure = readable(error, f"reading robot '{purpose}' of team '{self._name}'")
                unread.append(Unread(Team(name=self._name), purpose, failure))
            else:
                robots |= {purpose: robot} if robot else {}
        return Kept(Team(name=self._name, robots=dict(robots)), tuple(unread))

    def _marked_secrets(self) -> list[Object]:
        """All Secrets that bear the team's mark, without what is in them."""
        selector = f"{objects.OURS},{objects.TEAM}={self._name}"
        return list(
            self._systems.kubernetes_client.list("Secret", labelSelector=selector, content=False)
        )

    def _first_secrets(self, marked: list[Object]) -> Mapping[str, Object]:
        """By purpose: the Secrets whose annotations say how a pair of robots stands."""
        found = {}
        for secret in marked:
            metadata = secret["metadata"]
            purpose = metadata["name"].removeprefix("harbor-")
            here = metadata["namespace"] == self._slug and purpose != metadata["name"]
            if here and _robot_of(secret) in pair(purpose):
                found[purpose] = secret
        return found

    def _robot(self, purpose: str, first: Object, marked: list[Object]) -> Robot | None:
        """A robot as it is; None if Harbor has none, so that its permissions are not known."""
        rows = {short: self._rows[short] for short in pair(purpose) if short in self._rows}
        row = rows.get(_robot_of(first)) or next(iter(rows.values()), None)
        if row is None:
            return None
        days = row["duration"] if row["duration"] > 0 else None
        return Robot(
            access=robot_fields(row, self._systems.clock())["access"],
            expiry_days=days or "never",
            rotation=self._policy(purpose, days),
            sinks=list(self._sinks(purpose, rows, marked)),
        )

    def _policy(self, purpose: str, days: int | None) -> Rotation | None:
        """What is declared, as far as that can be read; else before the robot expires."""
        robot = self._declared.active_robots.get(purpose)
        policy = robot.rotation if robot else None
        if days is None:
            return policy
        if policy and policy.max_age_days + policy.before_expiry_days <= days:
            return policy
        before = max(1, min(_LONGEST, days // 4))
        # The old credential works until it expires, so copies of it work as long as before.
        return Rotation(
            max_age_days=max(1, days - before),
            before_expiry_days=before,
            overlap_hours=before * 24,
        )

    def _sinks(
        self, purpose: str, rows: Mapping[str, Row], marked: list[Object]
    ) -> Iterator[SecretSink]:
        """The further Secrets that are given the credential now."""
        declared = self._declared.active_robots.get(purpose)
        said = {
            (sink.namespace, sink.name)
            for sink in (self._declared.sinks(purpose) if declared else ())
        }
        for secret in marked:
            metadata = secret["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            is_first = (namespace, name) == (self._slug, f"harbor-{purpose}")
            if is_first or _robot_of(secret) not in pair(purpose):
                continue
            format = self._format(namespace, name)
            if format is None or not self._holds(purpose, namespace, name, format, rows):
                continue
            if (namespace, name) in said or self._may_write(namespace):
                yield SecretSink(namespace=namespace, name=name, format=format)

    def _format(self, namespace: str, name: str) -> SecretFormat | None:
        secret = self._systems.kubernetes_client.get("Secret", name, namespace) or {}
        formats: dict[Any, SecretFormat] = {DOCKER: "docker", "kubernetes.io/basic-auth": "basic"}
        if found := formats.get(secret.get("type")):
            return found
        return "config.json" if "config.json" in (secret.get("data") or {}) else None

    def _holds(
        self,
        purpose: str,
        namespace: str,
        name: str,
        format: SecretFormat,
        rows: Mapping[str, Row],
    ) -> bool:
        """Whether a Secret holds a working credential of the pair already."""
        place = Place(Team(name=self._name), purpose, namespace, name, format)
        live = self._credentials.secrets.read(place)
        held: Credential | None = live.handle["credential"] if live else None
        for row in rows.values():
            known = renamed(held, row["name"]) if held else None
            if known is not None and self._credentials.issuer.opens(known, self._tried):
                return True
        return False

    def _may_write(self, namespace: str) -> bool:
        """Whether a namespace is the team's, or no team's at all."""
        found = self._systems.kubernetes_client.get("Namespace", namespace)
        return found is not None and objects.team_of(found) in (None, self._name)


def _robot_of(secret: Object) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(ROBOT, ""))
