"""Observes pairs of robots: reads Harbor and the Secrets, and tries the published credentials."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.errors import NotOurs, SystemRefused, SystemUnavailable, TenantryError
from tenantry.marks import ProjectMark
from tenantry.resources import Live, Observed
from tenantry.rotation.pair import Found, NotOnboarded, Pair, Unread, as_rotation_error
from tenantry.rotation.removed import find_removed
from tenantry.rotation.sinks import SecretSink, Sink, check_writable
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.foreign import SystemRobots, find_foreign
from tenantry.systems.credentials.pairs import ROBOT, live_robot, pair, short_of
from tenantry.systems.credentials.places import Place, places, renamed
from tenantry.systems.credentials.renames import changed_secret
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, short_name
from tenantry.systems.holders import Holders
from tenantry.systems.kubernetes.renames import changed_project
from tenantry.systems.systems import Systems

ExtraSinks = Callable[[Team, str], Sequence[Sink]]
"""Returns the sinks of a team's purpose in addition to the declared Secrets."""


def observe(
    systems: Systems,
    teams: Sequence[Team],
    now: datetime,
    purposes: Sequence[str] | None = None,
    extra_sinks: ExtraSinks = lambda team, purpose: (),
) -> list[Found]:
    """Return the state of the teams' pairs.

    This includes purposes that a team no longer declares, as long as they have robots.

    Args:
        systems: the systems.
        teams: the teams.
        now: the time.
        purposes: the purposes to observe; all if not given.
        extra_sinks: returns sinks in addition to the declared ones.

    Raises:
        TenantryError: the projects cannot be read from Harbor.
    """
    wanted = [
        (team, [p for p in team.active_robots if purposes is None or p in purposes])
        for team in teams
    ]
    wanted = [(team, some) for team, some in wanted if some or team.name in systems.state.teams]
    listed = Observed()
    projects = systems.harbor.projects([team.project for team, _ in wanted], listed)
    system_robots = SystemRobots(systems.harbor_client)
    holders = Holders(systems, keycloak=False)

    def observe_team(item: tuple[Team, list[str]]) -> list[Found]:
        team, some = item
        try:
            project = projects.get(team.project)
            if project is None and (failure := listed.failure(team.name)) is not None:
                raise failure
            if project is None:
                first = holders.first_namespace(team.name)
                if first is not None and first[1] != team.project:
                    why = changed_project(team, first[1])
                    raise NotOurs("harbor", f"robots of {team.project}", why)
                raise _not_onboarded(team, "the project does not exist")
            rows = systems.harbor.robots(project["project_id"])
        except Exception as error:  # noqa: BLE001 one team's failure, of any kind
            return [Unread(team, purpose, as_rotation_error(error)) for purpose in some]
        found: list[Found] = []
        try:
            found += find_removed(systems, team, rows, purposes, now)
        except Exception as error:  # noqa: BLE001 one team's failure, of any kind
            found.append(Unread(team, "removed purposes", as_rotation_error(error)))
        for purpose in some:
            try:
                observation = _Observation(
                    systems, team, purpose, project, rows, system_robots, now
                )
                found.append(observation.pair(extra_sinks(team, purpose)))
            except Exception as error:  # noqa: BLE001 one purpose's failure, of any kind
                found.append(Unread(team, purpose, as_rotation_error(error)))
        return found

    return [pair for pairs in map_concurrently(observe_team, wanted) for pair in pairs]


def _read(sink: SecretSink) -> Credential | None:
    """Return the credential in a Secret; None if there is none, or the content is invalid."""
    try:
        return sink.read()
    except TenantryError:
        raise
    except Exception:  # noqa: BLE001 the Secret is written again, and that reports what is wrong
        return None


def _describe_waiting(sinks: Sequence[str]) -> str:
    """Return which sinks have no namespace yet; empty if all have one."""
    return f"the namespace of {', '.join(sinks)} does not exist yet" if sinks else ""


def _not_onboarded(team: Team, reason: str) -> NotOnboarded:
    advice = f"Onboard team '{team.name}' first."
    return NotOnboarded("harbor", f"robots of {team.project}", reason, advice=advice)


class _Observation:
    """One observation of one pair."""

    def __init__(
        self,
        systems: Systems,
        team: Team,
        purpose: str,
        project: Row,
        rows: Sequence[Row],
        system_robots: SystemRobots,
        now: datetime,
    ) -> None:
        self._systems = systems
        self._credentials = systems.credentials
        self._project_rows = [row for row in rows if row["level"] == "project"]
        self._system_robots = system_robots
        self._now = now
        self._team, self._purpose, self._project = team, purpose, project
        in_project = {short_name(row): row for row in self._project_rows}
        self._rows = {name: in_project[name] for name in pair(purpose) if name in in_project}
        by_full_name = {row["name"]: row for row in rows}
        found = (
            (name, by_full_name.get(name) or system_robots.find(name))
            for name in team.replaced_robots(purpose)
        )
        self._replaced = {name: row for name, row in found if row is not None}
        self._tried: dict[Credential, bool] = {}

    def pair(self, extra_sinks: Sequence[Sink]) -> Pair:
        self._check_ours()
        place, *others = places(self._team, self._purpose)
        first, refusal = self._read_first(place)
        if first is None and refusal is None and not self._rows:
            raise _not_onboarded(self._team, f"robot '{pair(self._purpose)[0]}' does not exist")
        own_sinks = [SecretSink(self._credentials.secrets, place) for place in others]
        held = [(sink, _read(sink)) for sink in own_sinks]
        waiting = [sink.name for sink in own_sinks if sink.has_no_namespace()]
        held = [(sink, found) for sink, found in held if sink.name not in waiting]
        in_sinks: list[tuple[Sink, Credential | None]] = [*held]
        in_sinks += [(sink, sink.read()) for sink in extra_sinks]
        annotations = first.fields["metadata"].get("annotations") or {} if first else {}
        own: Credential | None = first.handle["credential"] if first else None
        credentials = [own, *(credential for _, credential in in_sinks)]
        names = [short_of(found.username) if found else "" for found in credentials]
        robot = self._team.active_robots[self._purpose]
        live = live_robot(self._purpose, robot, annotations, names, self._rows, self._now)
        published = self._find_working(live, credentials)
        adopted = self._find_adopted(place, first, annotations, names[1:])
        if adopted is not None:
            published = own
        is_our_registry = (
            first is not None and first.fields["registry"] == self._credentials.registry
        )
        outdated: list[Sink | None] = [] if own == published and is_our_registry else [None]
        outdated += [sink for sink, credential in in_sinks if credential != published]
        return Pair(
            self._team,
            self._purpose,
            self._project,
            self._read_mark(),
            self._rows,
            self._replaced,
            live,
            place,
            first,
            published,
            (adopted is None and self._describe_problem(live, place, first, published))
            or _describe_waiting(waiting),
            refusal,
            tuple(outdated) if published else (),
            tuple(sink for sink, _ in in_sinks),
            adopted,
        )

    def _find_adopted(
        self,
        place: Place,
        first: Live | None,
        annotations: Mapping[str, str],
        others: Collection[str],
    ) -> Row | None:
        """Return the robot of another owner whose credential an adopted Secret keeps; None if there
        is none. See `kept_robot`, which does the same for onboarding.

        Args:
            place: the first Secret.
            first: the first Secret as it was observed.
            annotations: its annotations.
            others: the short names of the robots whose credentials the sinks hold.
        """
        if (
            first is None
            or annotations.get(ROBOT) in self._rows
            or any(o in self._rows for o in others)
        ):
            return None
        row = find_foreign(place, first, self._project_rows, self._system_robots)
        held: Credential | None = first.handle["credential"]
        is_accepted = row and self._credentials.issuer.accepts(held, {row["name"]}, self._tried)
        return row if is_accepted else None

    def _read_first(self, place: Place) -> tuple[Live | None, TenantryError | None]:
        """Return the first Secret, and why it cannot be written.

        A compromised robot is deleted even if the content of its Secret is invalid.
        """
        try:
            first = self._credentials.secrets.read(place)
        except SystemUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 the team can write any content
            return None, as_rotation_error(error)
        if first is None and self._rows:
            cluster = self._systems.clusters.of(place.id)
            if why := changed_secret(place, cluster, self._systems.marks):
                return None, NotOurs("kubernetes", f"Secret {place.namespace}/{place.name}", why)
        try:
            check_writable(place, first)
        except SystemRefused as refusal:
            return first, refusal
        return first, None

    def _read_mark(self) -> ProjectMark:
        found = self._systems.marks.project_mark(self._project_rows)
        if found is None:  # All its robots were deleted. The namespace has the mark, too.
            intent = self._systems.kubernetes.intent(self._team)
            found = intent.mark if intent else None
        return found or "created"

    def _check_ours(self) -> None:
        """Check that the robots do not belong to another platform with a team of the same name.

        Raises:
            NotOurs: they do.
        """
        foreign = self._systems.marks.foreign_project(self._project_rows, self._team.name)
        if foreign:  # A team can write robot descriptions, but not the marks of its namespace.
            intent = self._systems.kubernetes.intent(self._team)
            if intent is None or not intent.is_certain:
                raise NotOurs("harbor", f"project {self._team.project}", foreign)

    def _find_working(self, live: str, held: Sequence[Credential | None]) -> Credential | None:
        """Return the credential with which Harbor accepts the live robot, with its current name."""
        row = self._rows.get(live)
        for credential in held if row else ():
            current = (
                renamed(credential, row["name"], self._team.project) if credential and row else None
            )
            if row and self._credentials.issuer.accepts(current, {row["name"]}, self._tried):
                return current
        return None

    def _describe_problem(
        self, live: str, place: Place, first: Live | None, published: Credential | None
    ) -> str:
        """Return what is wrong with the first Secret or the live robot; empty if nothing is."""
        row = self._rows.get(live)
        secret = f"Secret {place.namespace}/{place.name}"
        if first is None:
            return f"{secret} does not exist"
        held: Credential | None = first.handle["credential"]
        if row is not None and held is not None and held.username != row["name"]:
            if renamed(held, row["name"], self._team.project) is not None:
                return (
                    f"{secret} names '{held.username}', and Harbor now calls that robot "
                    f"'{row['name']}': its robot_name_prefix was changed, which renames all robots "
                    "at once"
                )
            return f"{secret} holds the credential of '{held.username}'"
        if published is not None and held != published:
            return f"{secret} holds another password"
        if published is not None:
            registry, found = self._credentials.registry, first.fields["registry"]
            if found == registry:
                return ""
            return f"{secret} is for '{found}', and Harbor's registry is '{registry}'"
        if row is None:
            return f"robot '{live}' does not exist"
        expires = expires_at(row)
        if expires is not None and expires <= self._now:
            return (
                f"robot '{live}' expired at {expires:%Y-%m-%d %H:%M} UTC, so its credential cannot be "
                "tested"
            )
        if row["disable"]:
            return f"robot '{live}' is disabled"
        if held is None:
            return f"{secret} holds no valid credential for {self._credentials.registry}"
        return f"Harbor rejects the credential in {secret}"
