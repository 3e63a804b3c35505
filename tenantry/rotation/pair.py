"""The state of a pair of robots, as Harbor and its Secrets show it. Nothing else remembers it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenantry.answers import ODD, not_understood
from tenantry.calls import map_concurrently
from tenantry.declared import Robot, Team
from tenantry.errors import (
    NotOurs,
    SystemRefused,
    SystemUnavailable,
    TenantryError,
    as_tenantry_error,
)
from tenantry.marks import ProjectMark
from tenantry.resources import Live, Observed
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.removed import Removed, removed
from tenantry.rotation.sinks import SecretSink, Sink, refuse_unwritable
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.pairs import (
    end_of_overlap,
    latest_end,
    live_robot,
    moment,
    other,
    pair,
    short_of,
)
from tenantry.systems.credentials.places import Place, places, renamed
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, short_name
from tenantry.systems.systems import Systems

ExtraSinks = Callable[[Team, str], Sequence[Sink]]
"""Sinks of a team's robot beyond the declared Secrets, by the robot's purpose."""


@dataclass(frozen=True)
class Pair:
    """A purpose's two robots, whatever they take the place of, and where the credential is.

    Attributes:
        team: the team.
        purpose: such as `pull`.
        project: the team's project, as Harbor lists it.
        mark: whether Tenantry created or adopted the project.
        rows: the robots of the pair that there are, by short name.
        replaced: robots of somebody else's that this pair takes the place of, by full name.
        live: short name of the robot that is published, or was meant to be.
        place: the first Secret's.
        first: the first Secret; None if there is none.
        published: the live robot's credential that opens Harbor; None if none does.
        problem: why none does; or what is wrong though one does.
        refusal: why the first Secret can't be written; None if it can.
        outdated: where that credential is not, but should be. The first Secret is None.
        sinks: all sinks but the first Secret.
    """

    team: Team
    purpose: str
    project: Row
    mark: ProjectMark
    rows: Mapping[str, Row]
    replaced: Mapping[str, Row]
    live: str
    place: Place
    first: Live | None
    published: Credential | None
    problem: str
    refusal: TenantryError | None
    outdated: tuple[Sink | None, ...]
    sinks: tuple[Sink, ...]

    @property
    def name(self) -> str:
        """Team and purpose."""
        return f"{self.team.name}/{self.purpose}"

    @property
    def robot(self) -> Robot:
        """What is declared."""
        return self.team.active_robots[self.purpose]

    @property
    def annotations(self) -> Mapping[str, str]:
        """Of the first Secret."""
        return (self.first.fields["metadata"].get("annotations") or {}) if self.first else {}

    @property
    def since(self) -> datetime | None:
        """When Harbor created the live robot: it is published right after that."""
        row = self.rows.get(self.live)
        return moment(row["creation_time"]) if row else None

    @property
    def expires(self) -> datetime | None:
        """When the live robot stops working."""
        row = self.rows.get(self.live)
        return expires_at(row) if row else None

    @property
    def candidate(self) -> Row | None:
        """A robot that a rotation made and did not come to publish: nobody can use it."""
        row, live = self.rows.get(other(self.live)), self.rows.get(self.live)
        return row if row and live and row["id"] > live["id"] else None

    @property
    def old(self) -> dict[str, Row]:
        """The robots that were before the live one, disabled ones too, by the names they go by."""
        beside = self.rows.get(other(self.live))
        found = dict(self.replaced)
        if beside is not None and beside is not self.candidate:
            found[other(self.live)] = beside
        return found

    @property
    def in_use(self) -> dict[str, Row]:
        """The old robots that work still."""
        return {name: row for name, row in self.old.items() if not row["disable"]}

    @property
    def numbers(self) -> list[int]:
        """Harbor's numbers of all these robots."""
        return [int(row["id"]) for row in (*self.rows.values(), *self.replaced.values())]

    def compromised(self, order: RotationRequest) -> dict[str, Row]:
        """Return the robots that are to be deleted at once: all that are as old as the order."""
        if not order.compromised:
            return {}
        rows = {**self.rows, **self.replaced}
        return {name: row for name, row in rows.items() if order.covers(self.name, row["id"])}

    def until(self, now: datetime) -> datetime | None:
        """Return until when the old robots serve; None if that is to be settled."""
        live = self.rows.get(self.live)
        return end_of_overlap(self.annotations, self.in_use.keys(), live, self.robot, now)

    def is_overlapping(self, now: datetime) -> bool:
        """Whether a client may still use an old robot."""
        until = self.until(now)
        return bool(self.in_use) and (until is None or until > now)

    def is_past_limit(self, now: datetime) -> bool:
        """Whether nothing that the team can write keeps the old robots any longer."""
        row = self.rows.get(self.live)
        end = latest_end(row, self.robot) if row else None
        return end is not None and end <= now

    def waits_for_sinks(self, now: datetime) -> bool:
        """Whether old robots stay because a Secret does not hold the published credential yet.

        One that the team can write keeps them for a limited time only.
        """
        if self.is_past_limit(now):
            return any(sink is not None and sink.is_foreign for sink in self.outdated)
        return bool(self.outdated)

    def is_old_dead(self, now: datetime) -> bool:
        """Whether all old robots have expired, so that no client needs them, whatever holds them."""
        ends = [expires_at(row) for row in self.in_use.values()]
        return all(end is not None and end <= now for end in ends)

    def gone_at(self, row: Row) -> datetime:
        """When a disabled robot is to be deleted."""
        disabled = moment(row["update_time"])
        assert disabled is not None
        return disabled + timedelta(hours=self.robot.effective_rotation.deletion_hours)


@dataclass(frozen=True)
class Unread:
    """A team's robot of which it is not known how it stands."""

    team: Team
    purpose: str
    error: TenantryError

    @property
    def name(self) -> str:
        """Team and purpose."""
        return f"{self.team.name}/{self.purpose}"


def known(error: Exception) -> TenantryError:
    """Return the error, or the one that says that an answer was not understood."""
    if isinstance(error, ODD):
        return not_understood(error, "harbor", "read robots and Secrets")
    return as_tenantry_error(error, "reading robots and Secrets")


class NotOnboarded(SystemRefused):
    """There is nothing to rotate yet."""


Found = Pair | Unread | Removed
"""What is read of a purpose."""


def observe(
    systems: Systems,
    teams: Sequence[Team],
    now: datetime,
    purposes: Sequence[str] | None = None,
    extra_sinks: ExtraSinks = lambda team, purpose: (),
) -> list[Found]:
    """Return the state of the pairs of these teams, their published credentials tried.

    The purposes that a declared team no longer has are among them, as long as they have robots.

    Args:
        systems: the systems.
        teams: the teams.
        now: the time.
        purposes: those to look at; all if not given.
        extra_sinks: sinks beyond the declared ones.

    Raises:
        TenantryError: Harbor could not be asked for its projects.
    """
    wanted = [
        (team, [p for p in team.active_robots if purposes is None or p in purposes])
        for team in teams
    ]
    wanted = [(team, some) for team, some in wanted if some or team.name in systems.state.teams]
    listed = Observed()
    projects = systems.harbor.projects([team.slug for team, _ in wanted], listed)
    replaces = any(team.replaced_robots(purpose) for team, some in wanted for purpose in some)
    everywhere = list(systems.harbor_client.pages("/robots")) if replaces else []

    def look_at(asked: tuple[Team, list[str]]) -> list[Found]:
        team, some = asked
        try:
            project = projects.get(team.slug)
            if project is None and (failure := listed.failure(team.name)) is not None:
                raise failure
            if project is None:
                raise _not_onboarded(team, "there is no such project")
            rows = systems.harbor.robots(project["project_id"])
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            return [Unread(team, purpose, known(error)) for purpose in some]
        found: list[Found] = []
        try:
            found += removed(systems, team, rows, purposes, now)
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            found.append(Unread(team, "removed purposes", known(error)))
        for purpose in some:
            try:
                looking = _Looking(systems, team, purpose, project, [*rows, *everywhere], now)
                found.append(looking.pair(extra_sinks(team, purpose)))
            except Exception as error:  # noqa: BLE001 one purpose's failure, whatever it is
                found.append(Unread(team, purpose, known(error)))
        return found

    return [pair for pairs in map_concurrently(look_at, wanted) for pair in pairs]


def _read(sink: SecretSink) -> Credential | None:
    """Return what a Secret holds; None also if it can't be understood, whatever the team wrote."""
    try:
        return sink.read()
    except TenantryError:
        raise
    except Exception:  # noqa: BLE001 it is written again, or the write says what is wrong
        return None


def _waits_for(sinks: Sequence[str]) -> str:
    """That there is no place for some sinks yet; empty if there are none."""
    return f"there is no namespace yet for {', '.join(sinks)}" if sinks else ""


def _not_onboarded(team: Team, reason: str) -> NotOnboarded:
    advice = f"Onboard team '{team.name}' first."
    return NotOnboarded("harbor", f"robots of {team.slug}", reason, advice=advice)


class _Looking:
    """One look at one pair."""

    def __init__(
        self,
        systems: Systems,
        team: Team,
        purpose: str,
        project: Row,
        rows: Sequence[Row],
        now: datetime,
    ) -> None:
        self._systems = systems
        self._credentials = systems.credentials
        self._every = rows
        self._now = now
        self._team, self._purpose, self._project = team, purpose, project
        inside = {short_name(row): row for row in rows if row["level"] == "project"}
        self._rows = {name: inside[name] for name in pair(purpose) if name in inside}
        full = {row["name"]: row for row in rows}
        self._replaced = {n: full[n] for n in team.replaced_robots(purpose) if n in full}
        self._tried: dict[Credential, bool] = {}

    def pair(self, extra_sinks: Sequence[Sink]) -> Pair:
        self._refuse_foreign()
        place, *others = places(self._team, self._purpose)
        first, refusal = self._first(place)
        if first is None and refusal is None and not self._rows:
            raise _not_onboarded(self._team, f"there is no '{pair(self._purpose)[0]}'")
        own_sinks = [SecretSink(self._credentials.secrets, place) for place in others]
        held = [(sink, _read(sink)) for sink in own_sinks]
        waiting = [sink.name for sink in own_sinks if sink.waits()]
        held = [(sink, found) for sink, found in held if sink.name not in waiting]
        in_sinks: list[tuple[Sink, Credential | None]] = [*held]
        in_sinks += [(sink, sink.read()) for sink in extra_sinks]
        annotations = first.fields["metadata"].get("annotations") or {} if first else {}
        own: Credential | None = first.handle["credential"] if first else None
        credentials = [own, *(credential for _, credential in in_sinks)]
        names = [short_of(found.username) if found else "" for found in credentials]
        robot = self._team.active_robots[self._purpose]
        live = live_robot(self._purpose, robot, annotations, names, self._rows, self._now)
        published = self._working(live, credentials)
        for_us = first is not None and first.fields["registry"] == self._credentials.registry
        outdated: list[Sink | None] = [] if own == published and for_us else [None]
        outdated += [sink for sink, credential in in_sinks if credential != published]
        return Pair(
            self._team,
            self._purpose,
            self._project,
            self._mark(),
            self._rows,
            self._replaced,
            live,
            place,
            first,
            published,
            self._problem(live, place, first, published) or _waits_for(waiting),
            refusal,
            tuple(outdated) if published else (),
            tuple(sink for sink, _ in in_sinks),
        )

    def _first(self, place: Place) -> tuple[Live | None, TenantryError | None]:
        """Return the first Secret, and why it can't be written.

        A Secret that can't be understood keeps no robot from being deleted if it is compromised.
        """
        try:
            first = self._credentials.secrets.read(place)
        except SystemUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 whatever the team wrote into it
            return None, known(error)
        try:
            refuse_unwritable(place, first)
        except SystemRefused as refusal:
            return first, refusal
        return first, None

    def _mark(self) -> ProjectMark:
        found = self._systems.marks.project_mark(
            row for row in self._every if row["level"] == "project"
        )
        if found is None:  # all its robots are gone; the namespace knows too
            intent = self._systems.kubernetes.intent(self._team)
            found = intent.mark if intent else None
        return found or "created"

    def _refuse_foreign(self) -> None:
        """Refuse robots of another platform that has a team of the same name.

        Raises:
            NotOurs: the project is another platform's.
        """
        rows = (row for row in self._every if row["level"] == "project")
        foreign = self._systems.marks.foreign_project(rows, self._team.name)
        if foreign:  # a team may write descriptions of robots, and never its namespace's marks
            intent = self._systems.kubernetes.intent(self._team)
            if intent is None or not intent.is_certain:
                raise NotOurs("harbor", f"project {self._team.slug}", foreign)

    def _working(self, live: str, held: Sequence[Credential | None]) -> Credential | None:
        """The live robot's credential that opens Harbor, under the name it has now."""
        row = self._rows.get(live)
        for credential in held if row else ():
            known = renamed(credential, row["name"]) if credential and row else None
            if row and self._credentials.issuer.accepts(known, {row["name"]}, self._tried):
                return known
        return None

    def _problem(
        self, live: str, place: Place, first: Live | None, published: Credential | None
    ) -> str:
        row = self._rows.get(live)
        secret = f"Secret {place.namespace}/{place.name}"
        if first is None:
            return f"there is no {secret}"
        held: Credential | None = first.handle["credential"]
        if row is not None and held is not None and held.username != row["name"]:
            if renamed(held, row["name"]) is not None:
                return (
                    f"the {secret} names '{held.username}', and Harbor calls that robot "
                    f"'{row['name']}' now: its robot_name_prefix was changed, which renames all "
                    "robots at once"
                )
            return f"the {secret} holds the credential of '{held.username}'"
        if published is not None and held != published:
            return f"the {secret} holds another password"
        if published is not None:
            registry, found = self._credentials.registry, first.fields["registry"]
            told = f"the {secret} is for '{found}', and Harbor's registry is '{registry}'"
            return "" if found == registry else told
        if row is None:
            return f"robot '{live}' is gone"
        expires = expires_at(row)
        if expires is not None and expires <= self._now:
            return (
                f"robot '{live}' expired at {expires:%Y-%m-%d %H:%M} UTC: none can be tested then"
            )
        if row["disable"]:
            return f"robot '{live}' is disabled"
        if held is None:
            return f"the {secret} holds nothing that can be read for {self._credentials.registry}"
        return f"what the {secret} holds does not open Harbor"
