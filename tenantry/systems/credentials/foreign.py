"""Robots of other owners whose working credential an adopted Secret holds.

Adoption re-issues no credential: such a Secret keeps its content, and Tenantry creates no robot. The
next rotation creates one, publishes its credential, and retires the other owner's robot if
`replaces` of the team names it.

A tenant can write any user name and password into its Secrets. So only these robots count: those in
the team's project, those that `replaces` names, and system robots whose permissions are limited to
the team's project. The credential of any other account is not tried.
"""

import threading
from collections.abc import Iterable
from datetime import datetime

from tenantry.declared import Team
from tenantry.marks import ADOPTED
from tenantry.resources import Live, Observed
from tenantry.systems.credentials import pairs
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.observed import holds, rows
from tenantry.systems.credentials.places import Place, annotations_of, places
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.robots import only_project

FOREIGN = "foreign robot"
"""The key in the handle of a Secret: the robot of another owner whose credential it keeps."""


class SystemRobots:
    """The robots of Harbor's system level. They are listed once, when the first one is needed."""

    def __init__(self, harbor: HarborClient) -> None:
        self._harbor = harbor
        self._lock = threading.Lock()
        self._rows: dict[str, Row] | None = None

    def find(self, name: str) -> Row | None:
        """Return a robot by its full name; None if it does not exist.

        Raises:
            TenantryError: Harbor cannot be read.
        """
        with self._lock:
            rows = self._rows
            if rows is None:
                rows = self._rows = {row["name"]: row for row in self._harbor.pages("/robots")}
        return rows.get(name)


def find_foreign(
    place: Place, live: Live, project_robots: Iterable[Row], system: SystemRobots
) -> Row | None:
    """Return the robot of another owner that an adopted Secret names; None if it names none.

    Whether Harbor accepts its credential is not checked here.

    Args:
        place: the Secret.
        live: the Secret as it was observed.
        project_robots: the robots of the team's project.
        system: the robots of Harbor's system level.
    """
    held: Credential | None = live.handle["credential"]
    annotations = live.fields["metadata"]["annotations"]
    if held is None or place.is_own(held.username) or (live.ours and ADOPTED not in annotations):
        return None
    for row in project_robots:
        if row["name"] == held.username:
            return row
    found = system.find(held.username)
    is_replaced = held.username in place.team.replaced_robots(place.purpose)
    is_known = found is not None and (is_replaced or only_project(found) == place.team.project)
    return found if is_known else None


def names_robot(live: Live, row: Row) -> bool:
    """Return whether a Secret holds a credential with the user name of a robot."""
    held: Credential | None = live.handle["credential"]
    return held is not None and held.username == row["name"]


def kept_robot(team: Team, purpose: str, observed: Observed) -> Row | None:
    """Return the robot of another owner that serves a purpose until the next rotation.

    Robots of the pair that exist then are those of an interrupted rotation: no Secret has their
    credential.

    Args:
        team: the team.
        purpose: the purpose.
        observed: the observed robots and Secrets.
    """
    first, *others = (observed.live.get(place.id) for place in places(team, purpose))
    row: Row | None = first.handle.get(FOREIGN) if first is not None else None
    pair = rows(team, purpose, observed)
    is_published = annotations_of(first).get(pairs.ROBOT) in pair
    if is_published or any(holds(short, other) for short in pair for other in others):
        return None
    return row


def as_observed(place: Place, observed: Observed) -> Place:
    """Return a place with the format of its Secret, if it exists."""
    live = observed.live.get(place.id)
    found: Place = live.handle.get("place", place) if live else place
    return found


def is_kept(team: Team, row: Row, observed: Observed) -> bool:
    """Return whether an adopted Secret of a team keeps the credential of this robot."""
    kept = (kept_robot(team, purpose, observed) for purpose in team.active_robots)
    return any(each is not None and each["name"] == row["name"] for each in kept)


def is_in_use(team: Team, row: Row, observed: Observed, now: datetime) -> bool:
    """Return whether a robot serves a purpose of a team, or rotation retires it.

    A tenant can put the credential of any robot of its project into its Secrets. So a robot that
    `replaces` does not name counts only while the team may adopt.

    Args:
        team: the team.
        row: a robot in the team's project.
        observed: the observed robots and Secrets.
        now: the time.
    """
    for purpose in team.active_robots:
        if row["name"] in team.replaced_robots(purpose):
            return True
        kept = kept_robot(team, purpose, observed)
        if kept is None:
            continue
        if kept["name"] == row["name"] and team.adopt.of("harbor") != "never":
            return True
        created = pairs.moment(row["creation_time"])
        is_new = created is not None and now < created + pairs.IN_PROGRESS
        if is_new and pairs.short_of(row["name"]) in pairs.pair(purpose):
            return True
    return False
