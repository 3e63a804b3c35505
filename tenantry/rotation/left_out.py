"""Rotates the credentials of teams that are left out, as the systems show them.

A team whose file is faulty can't be onboarded, and its robots expire all the same. So its existing
credentials are rotated as they are: each pair of robots that Tenantry made and whose first Secret
bears the team's mark, with the permissions, the duration and the Secrets that it has now.

A file may not even give the name of its team. While there is such a file, each team that the marks in
the systems show and that no file names counts as left out.

Secrets and their annotations are hostile input. The permissions are those of the robot in Harbor, in
the team's own project. A Secret outside of the team's namespaces is written only if it holds a
working credential of this pair already, and if no other team owns its namespace.

A Secret that lost its mark is found by what the file declares, or by its annotation. It can't be
written, and the old robot stays while it holds its credential.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tenantry.declared import LeftOut, Robot, Rotation, SecretSink, Team, complete
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

_LONGEST = 14
"""The most days before its robot expires that a credential is exchanged, if no policy is known."""
_LONGEST_OVERLAP = 24 * 90
"""The most hours that a policy lets two credentials overlap."""


@dataclass(frozen=True)
class LeftOutTeam:
    """A team that is left out, with the robots that it has; and those that could not be read."""

    team: Team
    unread: tuple[Unread, ...] = ()
    is_named: bool = True
    """Whether a file names the team; else a file that gives no name may declare it."""


def left_out_teams(systems: Systems, names: Iterable[str] | None = None) -> list[LeftOutTeam]:
    """Return the teams that are left out, with their robots as they are.

    A team without any is not among them.

    Args:
        systems: the systems.
        names: the teams that the run is about; all if not given.

    Raises:
        TenantryError: Harbor could not be asked for its projects; or the cluster for the teams that
            it has, while a file gives no name of its team.
    """
    state = systems.state
    files: dict[str, LeftOut | None] = {}
    if not state.knows_all_names:
        live = Holders(systems, keycloak=False).teams()
        files = dict.fromkeys(sorted(live - state.names))
    files |= {
        name: each for each in state.left_out for name in each.names if name not in state.teams
    }
    if names is not None:
        asked = set(names)
        files = {name: each for name, each in files.items() if name in asked}
    if not files:
        return []
    unmarked = cache(lambda: _unmarked_secrets(systems.home_cluster))
    listed = Observed()
    projects = systems.harbor.projects([f"team-{name}" for name in files], listed)
    found = []
    for name, each in files.items():
        try:
            project = projects.get(f"team-{name}")
            if project is None and (failure := _unread_project(name, listed)) is not None:
                raise failure
            if project is None:
                continue
            kept = _Reading(systems, name, each, project, unmarked).kept()
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            failure = as_tenantry_error(error, f"reading the robots of team '{name}'")
            unread = Unread(Team(name=name), "all robots", failure)
            kept = LeftOutTeam(Team(name=name), (unread,), is_named=each is not None)
        if kept.team.robots or kept.unread:
            found.append(kept)
    return found


def _unread_project(name: str, listed: Observed) -> TenantryError | None:
    """Return why the project of a team could not be read; None if it does not exist."""
    failure = listed.unreadable.get(project_id(f"team-{name}"))
    return failure.error if failure else None


def _unmarked_secrets(cluster: KubernetesClient) -> list[Object]:
    """Return all Secrets with the annotation of a robot that have lost the mark of their team."""
    found = cluster.list("Secret", content=False)
    return [each for each in found if _robot_of(each) and objects.team_of(each) is None]


class _Reading:
    """Reads the robots of one team."""

    def __init__(
        self,
        systems: Systems,
        name: str,
        file: LeftOut | None,
        project: Row,
        unmarked: Callable[[], list[Object]],
    ) -> None:
        self._systems = systems
        self._name = name
        self._slug = f"team-{name}"
        self._credentials = systems.credentials
        self._unmarked = unmarked
        listed = systems.harbor.robots(project["project_id"])
        self._rows = {short_name(row): row for row in listed if systems.marks.project_mark([row])}
        declared = file.team if file is not None and file.team is not None else None
        declared = declared if declared is not None and declared.name == name else None
        self._is_named = file is not None
        self._is_whole = declared is not None and file is not None and file.is_whole
        self._declared = declared or complete(systems.state.platform, Team(name=name))
        self._tried: dict[Credential, bool] = {}

    def kept(self) -> LeftOutTeam:
        """The team with its robots."""
        marked = self._marked_secrets()
        robots: dict[str, Robot] = {}
        unread: list[Unread] = []
        firsts = self._first_secrets(marked)
        for purpose in sorted({*firsts, *(name.rpartition("-")[0] for name in self._rows)}):
            try:
                if (first := firsts.get(purpose)) is None:
                    self._refuse_unmarked(purpose)
                elif robot := self._robot(purpose, first):
                    sinks = list(self._sinks(purpose, marked))
                    robots[purpose] = robot.model_copy(update={"sinks": sinks})
            except Exception as error:  # noqa: BLE001 one purpose's failure, whatever it is
                failure = as_tenantry_error(
                    error, f"reading robot '{purpose}' of team '{self._name}'"
                )
                unread.append(Unread(Team(name=self._name), purpose, failure))
        team = Team(name=self._name, robots=dict(robots))
        return LeftOutTeam(team, tuple(unread), self._is_named)

    def _marked_secrets(self) -> list[Object]:
        """All Secrets that bear the team's mark, without what is in them."""
        selector = f"{objects.OURS},{TEAM}={self._name}"
        return list(
            self._systems.home_cluster.list("Secret", labelSelector=selector, content=False)
        )

    def _first_secrets(self, marked: list[Object]) -> Mapping[str, Object]:
        """By purpose: the Secrets whose annotations say how a pair of robots stands."""
        found = {}
        for secret in marked:
            metadata = secret["metadata"]
            purpose = metadata["name"].removeprefix("harbor-")
            here = metadata["namespace"] == self._slug and purpose != metadata["name"]
            if here and _robot_of(secret) in ("", *pair(purpose)):
                found[purpose] = secret
        return found

    def _refuse_unmarked(self, purpose: str) -> None:
        """Check that no credential of a pair is in use though its first Secret lost its mark.

        Raises:
            NotOurs: the Secret holds a working credential, and can't be written.
        """
        place = Place(Team(name=self._name), purpose, self._slug, f"harbor-{purpose}")
        if self._rows_of(purpose) and self._holds(place):
            raise NotOurs(
                "kubernetes",
                f"Secret {place.namespace}/{place.name}",
                f"it holds the credential of robot '{purpose}' and lost the mark of team "
                f"'{self._name}', so its credential cannot be rotated",
                advice=f"Set its labels {MANAGED_BY}: tenantry and {TEAM}: "
                f"{self._name} again, or delete it if no workload uses it.",
            )

    def _rows_of(self, purpose: str) -> dict[str, Row]:
        """The robots of a pair, as Harbor shows them."""
        return {short: self._rows[short] for short in pair(purpose) if short in self._rows}

    def _robot(self, purpose: str, first: Object) -> Robot | None:
        """A robot as it is, without sinks; None if Harbor has none, so its permissions are unknown."""
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
        """What is declared, as far as that can be read; else before the robot expires."""
        robot = self._declared.active_robots.get(purpose)
        policy = robot.rotation if robot else None
        if days is None:
            return policy
        if policy and policy.max_age_days + policy.before_expiry_days <= days:
            return policy if self._is_whole else _with_longest_overlap(policy, days)
        before = max(1, min(_LONGEST, days // 4))
        # The old credential works until it expires, so copies of it work as long as before.
        return Rotation(
            max_age_days=max(1, days - before),
            before_expiry_days=before,
            overlap_hours=before * 24,
        )

    def _sinks(self, purpose: str, marked: list[Object]) -> Iterator[SecretSink]:
        """The further Secrets that hold the credential now.

        One that lost its mark is among them: it can't be written, and fails the rotation.
        """
        declared = {(each.namespace, each.name): each for each in self._declared_places(purpose)}
        found = dict(declared)
        for secret in [*marked, *self._unmarked()]:
            if _robot_of(secret) in ("", *pair(purpose)):
                metadata = secret["metadata"]
                key = metadata["namespace"], metadata["name"]
                found.setdefault(key, Place(Team(name=self._name), purpose, *key))
        for key, place in found.items():
            if place.is_first or not (key in declared or self._may_write(place.namespace)):
                continue
            format = self._format(place, is_declared=key in declared)
            if format is not None and self._holds(replace(place, format=format)):
                yield SecretSink(namespace=place.namespace, name=place.name, format=format)

    def _declared_places(self, purpose: str) -> list[Place]:
        """The Secrets of a pair as far as the file can be read, and those in further namespaces."""
        robot = self._declared.active_robots.get(purpose)
        declared = places(self._declared, purpose) if robot else []
        return [each for each in declared if not each.is_first]

    def _format(self, place: Place, *, is_declared: bool) -> SecretFormat | None:
        """The format of a Secret; None if it has none that holds a credential."""
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
        """Whether a Secret holds a working credential of the pair already."""
        live = self._credentials.secrets.read(place)
        held: Credential | None = live.handle["credential"] if live else None
        for row in self._rows_of(place.purpose).values():
            known = renamed(held, row["name"]) if held else None
            if self._credentials.issuer.accepts(known, {row["name"]}, self._tried):
                return True
        return False

    def _may_write(self, namespace: str) -> bool:
        """Whether a namespace is the team's, or no team's at all."""
        found = self._systems.home_cluster.get("Namespace", namespace)
        return found is not None and objects.team_of(found) in (None, self._name)


def _with_longest_overlap(policy: Rotation, days: int) -> Rotation:
    """Return a policy by which an old credential works until it expires, or the next one is due.

    Where not all of a file can be read, not all of its sinks may be known.
    """
    soonest = int(policy.max_age_days * EARLIEST_ROTATION)
    hours = min(24 * min(days - soonest, soonest), _LONGEST_OVERLAP)
    return policy.model_copy(update={"overlap_hours": max(policy.overlap_hours, hours)})


def _robot_of(secret: Object) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(ROBOT, ""))
