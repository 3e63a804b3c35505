"""The state of a pair of robots, as the observed robots and Secrets of a team show it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile
from tenantry.resources import Id, Live, Observed, whole_system
from tenantry.systems.credentials import pairs
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.places import RobotSecret, annotations_of, places, renamed
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.kinds import ROBOT
from tenantry.systems.harbor.robots import expires_at, robot_id


def rows_by_project(observed: Observed) -> dict[str, list[Row]]:
    """Return all observed robots, by project."""
    found: dict[str, list[Row]] = defaultdict(list)
    for id, live in observed.live.items():
        if id.kind == ROBOT:
            found[id.key.partition("/")[0]].append(live.handle)
    return found


def rows(team: Team, purpose: str, observed: Observed) -> dict[str, Row]:
    """Return the existing robots of a pair, by short name."""
    known = ((s, observed.live.get(robot_id(team.project, s))) for s in pairs.pair(purpose))
    return {short: live.handle for short, live in known if live is not None}


def has_expired(robot: Live | None, now: datetime) -> bool:
    """Return whether an observed robot has expired."""
    expires = expires_at(robot.handle) if robot else None
    return expires is not None and expires <= now


def holds(short: str, secret: Live | None) -> bool:
    """Return whether a Secret holds the credential of a robot."""
    return secret is not None and _robot_in(secret) == short


def _robot_in(secret: Live) -> str:
    """Return the short name of the robot whose credential a Secret holds; empty if it holds
    none."""
    held: Credential | None = secret.handle["credential"]
    return pairs.short_of(held.username) if held else ""


def live_robot(team: Team, purpose: str, observed: Observed, now: datetime) -> str:
    """Return the short name of the live robot of a pair."""
    first, *others = (observed.live.get(place.id) for place in places(team, purpose))
    held = [_robot_in(first) if first is not None and first.ours else ""]
    held += [_robot_in(other) for other in others if other is not None]
    existing = rows(team, purpose, observed)
    robot = team.active_robots[purpose]
    return pairs.live_robot(purpose, robot, annotations_of(first), held, existing, now)


def stored_credentials(
    secret: RobotSecret, username: str, observed: Observed
) -> Iterator[Credential]:
    """Yield the credentials of a robot that its Secrets hold, each once.

    The prefix of robot names in Harbor may have changed since. The passwords stay valid then.

    Args:
        secret: one of the Secrets.
        username: the full name of the robot in Harbor.
        observed: the observed Secrets.
    """
    seen: set[Credential] = set()
    for place in places(secret.place.team, secret.place.purpose):
        live = observed.live.get(place.id)
        found = live.handle["credential"] if live else None
        credential = renamed(found, username, secret.place.team.project) if found else None
        if credential is not None and credential not in seen:
            seen.add(credential)
            yield credential


def refuse_unread(secret: RobotSecret, robot: Id, observed: Observed) -> None:
    """Raise an error if one of the robot's Secrets, or Harbor, could not be read.

    The credential in such a Secret may be valid, and a new secret of the robot would break it.

    Raises:
        TenantryError: why it could not be read.
    """
    ids = [place.id for place in places(secret.place.team, secret.place.purpose)]
    for needed in (whole_system("harbor"), *ids):
        if observed.is_known(needed):
            continue
        if (unread := observed.unreadable.get(needed)) is not None:
            raise unread.error
        call = f"credential of {robot}"
        raise ChangedMeanwhile("harbor", call, f"{needed} could not be read")
