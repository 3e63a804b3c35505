"""The state of a pair of robots, as Harbor and its Secrets show it. It is stored nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenantry.answers import ODD, not_understood
from tenantry.declared import Robot, Team
from tenantry.errors import SystemRefused, TenantryError, as_tenantry_error
from tenantry.marks import ProjectMark
from tenantry.resources import Live
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.removed import Removed
from tenantry.rotation.sinks import Sink
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.pairs import end_of_overlap, latest_end, moment, other
from tenantry.systems.credentials.places import Place
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at


@dataclass(frozen=True)
class Pair:
    """The two robots of a purpose, the robots that they replace, and the places of the credential.

    Attributes:
        team: the team.
        purpose: the purpose, such as `pull`.
        project: the team's project, as Harbor lists it.
        mark: whether Tenantry created or adopted the project.
        rows: the existing robots of the pair, by short name.
        replaced: robots of other owners that this pair replaces, by full name.
        live: short name of the robot that is published, or should be.
        place: the place of the first Secret.
        first: the first Secret; None if it does not exist.
        published: the live robot's credential with which Harbor accepts a login; None if there is none.
        problem: why there is none, or what else is wrong.
        refusal: why the first Secret cannot be written; None if it can.
        outdated: the sinks that lack the published credential. None stands for the first Secret.
        sinks: all sinks except for the first Secret.
        adopted: the robot of another owner whose working credential the first Secret keeps since its
            adoption. No robot of the pair was published yet.
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
    adopted: Row | None = None

    @property
    def name(self) -> str:
        """The team and the purpose."""
        return f"{self.team.name}/{self.purpose}"

    @property
    def robot(self) -> Robot:
        """The declared robot."""
        return self.team.active_robots[self.purpose]

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the first Secret."""
        return (self.first.fields["metadata"].get("annotations") or {}) if self.first else {}

    @property
    def since(self) -> datetime | None:
        """When Harbor created the live robot. It is published right afterwards."""
        row = self.rows.get(self.live)
        return moment(row["creation_time"]) if row else None

    @property
    def expires(self) -> datetime | None:
        """When the live robot expires; None if never."""
        row = self.rows.get(self.live)
        return expires_at(row) if row else None

    @property
    def candidate(self) -> Row | None:
        """A robot that a rotation created and did not publish, so that no client has its secret."""
        row, live = self.rows.get(other(self.live)), self.rows.get(self.live)
        return row if row and live and row["id"] > live["id"] else None

    @property
    def old(self) -> dict[str, Row]:
        """The robots that precede the live one, including disabled ones, by their names."""
        previous = self.rows.get(other(self.live))
        found = dict(self.replaced)
        if previous is not None and previous is not self.candidate:
            found[other(self.live)] = previous
        return found

    @property
    def in_use(self) -> dict[str, Row]:
        """The old robots that are not disabled."""
        return {name: row for name, row in self.old.items() if not row["disable"]}

    @property
    def numbers(self) -> list[int]:
        """The ids of all these robots in Harbor."""
        adopted = [self.adopted] if self.adopted else []
        rows = (*self.rows.values(), *self.replaced.values(), *adopted)
        return [int(row["id"]) for row in rows]

    def compromised(self, request: RotationRequest) -> dict[str, Row]:
        """Return the robots to delete at once: those that are not newer than the request."""
        if not request.compromised:
            return {}
        rows = {**self.rows, **self.replaced}
        return {name: row for name, row in rows.items() if request.covers(self.name, row["id"])}

    def until(self, now: datetime) -> datetime | None:
        """Return when the overlap ends; None if this is not recorded yet."""
        live = self.rows.get(self.live)
        return end_of_overlap(self.annotations, self.in_use.keys(), live, self.robot, now)

    def is_overlapping(self, now: datetime) -> bool:
        """Return whether clients may still use an old robot."""
        until = self.until(now)
        return bool(self.in_use) and (until is None or until > now)

    def is_past_limit(self, now: datetime) -> bool:
        """Return whether the old robots have worked as long as the team can extend it."""
        row = self.rows.get(self.live)
        end = latest_end(row, self.robot) if row else None
        return end is not None and end <= now

    def waits_for_sinks(self, now: datetime) -> bool:
        """Return whether the old robots are kept because a Secret lacks the published credential.

        A Secret that the team can write keeps them for a limited time only.
        """
        if self.is_past_limit(now):
            return any(sink is not None and sink.is_foreign for sink in self.outdated)
        return bool(self.outdated)

    def is_old_expired(self, now: datetime) -> bool:
        """Return whether all old robots have expired, so that no client can use them."""
        ends = [expires_at(row) for row in self.in_use.values()]
        return all(end is not None and end <= now for end in ends)

    def deletion_time(self, row: Row) -> datetime:
        """Return when a disabled robot is to be deleted."""
        disabled = moment(row["update_time"])
        assert disabled is not None
        return disabled + timedelta(hours=self.robot.effective_rotation.deletion_hours)


@dataclass(frozen=True)
class Unread:
    """A robot of a team whose state could not be read."""

    team: Team
    purpose: str
    error: TenantryError

    @property
    def name(self) -> str:
        """The team and the purpose."""
        return f"{self.team.name}/{self.purpose}"


class NotOnboarded(SystemRefused):
    """The team or the robot is not onboarded yet, so there is nothing to rotate."""


Found = Pair | Unread | Removed
"""The observed state of a purpose."""


def as_rotation_error(error: Exception) -> TenantryError:
    """Return the error as a user reads it; errors of unexpected answers name Harbor."""
    if isinstance(error, ODD):
        return not_understood(error, "harbor", "read robots and Secrets")
    return as_tenantry_error(error, "reading robots and Secrets")
