"""Finds the robots of teams that are left out, so that their credentials are rotated.

A team with a faulty file cannot be onboarded, and its robots expire nevertheless. Its existing
credentials are therefore rotated by their state in the systems: each pair of robots that Tenantry
created and whose first Secret has the team's mark, with its current permissions, duration and Secrets.

A faulty file may lack even the name of its team. While such a file exists, each team that the marks in
the systems name and that no file names counts as left out.

Secrets and their annotations are hostile input. The permissions are read from the robot in Harbor, in
the team's own project. A Secret outside of the team's namespaces is written only if it already holds a
working credential of this pair, and if no other team owns its namespace.

A Secret that has lost its mark is found through the declared state, or by its annotation. It cannot be
written, and the old robot is kept while the Secret holds its credential.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tenantry.declared import LeftOut, Robot, Rotation, SecretSink, Team
from tenantry.declared.harbor_project import EARLIEST_ROTATION, SecretFormat
from tenantry.errors import NotOurs, TenantryError, as_tenantry_error
from tenantry.marks import MANAGED_BY, TEAM
from tenantry.resources import Observed
from tenantry.rotation.pair import Unread
from tenantry.systems.credentials.contents import DOCKER, Credential
from tenantry.systems.credentials.pairs import ROBOT, pair
from tenantry.systems.credentials.places import Place, places, renamed
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.robots import robot_fields, short_name
from tenantry.systems.holders import Holders
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object
from tenantry.systems.systems import Systems

_MAX_DAYS_BEFORE_EXPIRY = 14
"""The most days before the expiry that a credential is rotated, if no policy is known."""
_MAX_OVERLAP_HOURS = 24 * 90
"""The longest overlap that a policy allows, in hours."""


@dataclass(frozen=True)
class LeftOutTeam:
    """A team that is left out, with its existing robots, and those that could not be read."""

    team: Team
    unread: tuple[Unread, ...] = ()
    is_named: bool = True
    """Whether a file names the team. If not, a file without a name may declare it."""


def left_out_teams(systems: Systems, names: Iterable[str] | None = None) -> list[LeftOutTeam]:
    """Return the teams that are left out, with their existing robots. Teams without robots are omitted.

    Args:
        systems: the systems.
        names: the names of the teams to rotate; all if not given.

    Raises:
        TenantryError: Harbor's projects cannot be read, or a file has no name of a team and the
            teams in the cluster cannot be read.
    """
    state, holders = systems.state, Holders(systems, keycloak=False)
    files: dict[str, LeftOut | None] = {}
    if any(not (each.gives_name or each.is_offboarding) for each in state.left_out):
        files = dict.fromkeys(sorted(holders.teams() - state.names))
    files |= {
        name: file
        for file in state.left_out
        for name in file.names
        if name not in state.teams and not file.is_offboarding
    }
    if names is not None:
        requested = set(names)
        files = {name: file for name, file in files.items() if name in requested}
    if not files:
        return []
    unmarked = cache(lambda: _unmarked_secrets(systems.home_cluster))
    listed = Observed()
    teams = {name: _existing(state.named(name), holders) for name in files}
    projects = systems.harbor.projects([team.project for team in teams.values()], listed)
    found = []
    for name, file in files.items():
        try:
            team = teams[name]
            project = projects.get(team.project)
            if project is None and (failure := _unread_project(team, listed)) is not None:
                raise failure
            if project is None:
                continue
            kept = _Reader(systems, team, file, project, unmarked).read()
        except Exception as error:  # noqa: BLE001 one team's failure, of any kind
            failure = as_tenantry_error(error, f"reading the robots of team '{name}'")
            bare = teams[name].only_named()
            unread = Unread(bare, "all robots", failure)
            kept = LeftOutTeam(bare, (unread,), is_named=file is not None)
        if kept.team.robots or kept.unread:
            found.append(kept)
    return found


def _existing(team: Team, holders: Holders) -> Team:
    """Return a team with the names that its namespace and its project have in the systems.

    A faulty file may lack the names that it gave.
    """
    try:
        found = holders.first_namespace(team.name)
    except TenantryError:
        return team  # the read of its Secrets reports the failure
    if found is None:
        return team
    namespace, project = found
    names = team.names.model_copy(update={"namespace": namespace, "project": project})
    return team.model_copy(update={"names": names})


def _unread_project(team: Team, listed: Observed) -> TenantryError | None:
    """Return why a team's project could not be read; None if it does not exist."""
    failure = listed.unreadable.get(project_id(team.project))
    return failure.error if failure else None


def _unmarked_secrets(cluster: KubernetesClient) -> list[Object]:
    """Return all Secrets with the annotation of a robot and without the mark of a team."""
    found = cluster.list("Secret", content=False)
    return [secret for secret in found if _robot_of(secret) and objects.team_of(secret) is None]


class _Reader:
    """Reads the robots of one team that is left out."""

    def __init__(
        self,
        systems: Systems,
        team: Team,
        file: LeftOut | None,
        project: Row,
        unmarked: Callable[[], list[Object]],
    ) -> None:
        self._systems = systems
        self._name = team.name
        self._credentials = systems.credentials
        self._unmarked = unmarked
        listed = systems.harbor.robots(project["project_id"])
        self._rows = {short_name(row): row for row in listed if systems.marks.project_mark([row])}
        is_readable = file is not None and file.team is not None and file.team.name == team.name
        self._is_named = file is not None
        self._is_whole = file is not None and is_readable and file.is_whole
        self._declared = team
        self._bare = self._declared.only_named()
        self._tried: dict[Credential, bool] = {}

    def read(self) -> LeftOutTeam:
        """Return the team with its robots."""
        marked = self._marked_secrets()
        robots: dict[str, Robot] = {}
        unread: list[Unread] = []
        firsts = self._first_secrets(marked)
        found = {purpose: first["metadata"]["name"] for purpose, first in firsts.items()}
        self._bare = self._bare.with_secrets(found)
        for purpose in self._purposes():
            try:
                if (first := firsts.get(purpose)) is None:
                    self._check_marked(purpose)
                elif robot := self._robot(purpose, first):
                    sinks = list(self._sinks(purpose, marked))
                    robots[purpose] = robot.model_copy(update={"sinks": sinks})
            except Exception as error:  # noqa: BLE001 one purpose's failure, of any kind
                failure = as_tenantry_error(
                    error, f"reading robot '{purpose}' of team '{self._name}'"
                )
                unread.append(Unread(self._bare, purpose, failure))
        team = self._bare.model_copy(update={"robots": dict(robots)})
        return LeftOutTeam(team, tuple(unread), self._is_named)

    def _purposes(self) -> list[str]:
        """Return the purposes of the existing robots."""
        return sorted({name.rpartition("-")[0] for name in self._rows})

    def _marked_secrets(self) -> list[Object]:
        """Return all Secrets with the team's mark, without their content."""
        selector = f"{objects.OURS},{TEAM}={self._name}"
        return list(
            self._systems.home_cluster.list("Secret", labelSelector=selector, content=False)
        )

    def _first_secrets(self, marked: list[Object]) -> Mapping[str, Object]:
        """Return the Secrets whose annotations hold the state of a pair, by purpose."""
        home = self._declared.home_namespace
        here = {s["metadata"]["name"]: s for s in marked if s["metadata"]["namespace"] == home}
        found = {}
        for purpose in self._purposes():
            first = here.get(self._declared.secret_name(purpose))
            if first is not None and _robot_of(first) in ("", *pair(purpose)):
                found[purpose] = first
            elif first is None and not self._is_whole and (other := self._by_mark(purpose, here)):
                found[purpose] = other
        return found

    def _by_mark(self, purpose: str, here: Mapping[str, Object]) -> Object | None:
        """Return the first Secret of a pair by its annotation. The file may lack its name.

        Args:
            purpose: the purpose of the pair.
            here: the marked Secrets in the team's first namespace, by name.
        """
        for name, secret in sorted(here.items()):
            place = Place(self._bare, purpose, self._declared.home_namespace, name)
            is_of_pair = _robot_of(secret) in pair(purpose)
            if is_of_pair and self._format(place, is_declared=False) == place.format:
                return secret
        return None

    def _check_marked(self, purpose: str) -> None:
        """Check that a pair without a marked first Secret has no credential in use.

        Raises:
            NotOurs: the Secret holds a working credential, and cannot be written.
        """
        team = self._bare
        place = Place(team, purpose, team.home_namespace, team.secret_name(purpose))
        if self._rows_of(purpose) and self._holds(place):
            raise NotOurs(
                "kubernetes",
                f"Secret {place.namespace}/{place.name}",
                f"it holds the credential of robot '{purpose}' and has lost the mark of team "
                f"'{self._name}', so its credential cannot be rotated",
                advice=f"Set its labels {MANAGED_BY}: tenantry and {TEAM}: "
                f"{self._name} again, or delete it if no workload uses it.",
            )

    def _rows_of(self, purpose: str) -> dict[str, Row]:
        """Return the robots of a pair, by short name."""
        return {short: self._rows[short] for short in pair(purpose) if short in self._rows}

    def _robot(self, purpose: str, first: Object) -> Robot | None:
        """Return a robot without sinks; None if it does not exist, so its permissions are unknown."""
        rows = self._rows_of(purpose)
        row = rows.get(_robot_of(first)) or next(iter(rows.values()), None)
        if row is None:
            return None
        days = row["duration"] if row["duration"] > 0 else None
        return Robot(
            access=robot_fields(row, self._systems.clock())["access"],
            expiry_days=days or "never",
            rotation=self._policy(purpose, days),
        )

    def _policy(self, purpose: str, days: int | None) -> Rotation | None:
        """Return the declared policy if it can be read, else a rotation before the robot expires."""
        robot = self._declared.active_robots.get(purpose)
        policy = robot.rotation if robot else None
        if days is None:
            return policy
        if policy and policy.max_age_days + policy.before_expiry_days <= days:
            return policy if self._is_whole else _with_longest_overlap(policy, days)
        before = max(1, min(_MAX_DAYS_BEFORE_EXPIRY, days // 4))
        # The old credential works until it expires, so unknown copies of it are not affected.
        return Rotation(
            max_age_days=max(1, days - before),
            before_expiry_days=before,
            overlap_hours=before * 24,
        )

    def _sinks(self, purpose: str, marked: list[Object]) -> Iterator[SecretSink]:
        """Yield the further Secrets that hold the credential.

        This includes Secrets that have lost their mark. They cannot be written, and fail the rotation.
        """
        declared = {
            (place.namespace, place.name): place for place in self._declared_places(purpose)
        }
        found = dict(declared)
        for secret in [*marked, *self._unmarked()]:
            if _robot_of(secret) in ("", *pair(purpose)):
                metadata = secret["metadata"]
                key = metadata["namespace"], metadata["name"]
                found.setdefault(key, Place(self._bare, purpose, *key))
        for key, place in found.items():
            if place.is_first or not (key in declared or self._may_write(place.namespace)):
                continue
            format = self._format(place, is_declared=key in declared)
            if format is not None and self._holds(replace(place, format=format)):
                yield SecretSink(namespace=place.namespace, name=place.name, format=format)

    def _declared_places(self, purpose: str) -> list[Place]:
        """Return the further Secrets of a pair, as far as the declared state can be read."""
        robot = self._declared.active_robots.get(purpose)
        declared = places(self._declared, purpose) if robot else []
        return [place for place in declared if not place.is_first]

    def _format(self, place: Place, *, is_declared: bool) -> SecretFormat | None:
        """Return the format of a Secret; None if no format of a credential fits."""
        secret = self._systems.home_cluster.get("Secret", place.name, place.namespace)
        if secret is None:
            return None
        formats: dict[Any, SecretFormat] = {DOCKER: "docker", "kubernetes.io/basic-auth": "basic"}
        if found := formats.get(secret.get("type")):
            return found
        if "config.json" in (secret.get("data") or {}):
            return "config.json"
        return place.format if is_declared else None

    def _holds(self, place: Place) -> bool:
        """Return whether a Secret holds a working credential of the pair."""
        live = self._credentials.secrets.read(place)
        held: Credential | None = live.handle["credential"] if live else None
        for row in self._rows_of(place.purpose).values():
            known = renamed(held, row["name"], place.team.project) if held else None
            if self._credentials.issuer.accepts(known, {row["name"]}, self._tried):
                return True
        return False

    def _may_write(self, namespace: str) -> bool:
        """Return whether a namespace belongs to the team, or to no team."""
        found = self._systems.home_cluster.get("Namespace", namespace)
        return found is not None and objects.team_of(found) in (None, self._name)


def _with_longest_overlap(policy: Rotation, days: int) -> Rotation:
    """Return a policy with an overlap until the old credential expires or the next rotation is due.

    If a file can be read in part only, some of its sinks may be unknown.
    """
    soonest = int(policy.max_age_days * EARLIEST_ROTATION)
    hours = min(24 * min(days - soonest, soonest), _MAX_OVERLAP_HOURS)
    return policy.model_copy(update={"overlap_hours": max(policy.overlap_hours, hours)})


def _robot_of(secret: Object) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(ROBOT, ""))
