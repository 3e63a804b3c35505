"""The state of a pair of robots: which one is live, which one is old, and how long the old one is
kept.

A new robot in Harbor always has a higher number than an older one. The robot of a pair that is not
live is one of two things. An **old** robot is older than the live one: it was published before, and
clients may still use it. A **candidate** is newer than the live one: it was never published, and no
client can use it.

The annotations of the pair's first Secret record which robot is published, and when the former one
is retired. A tenant can write the annotations and the Secret. So they are hints, within limits that
Harbor sets: the age of a robot counts from its creation in Harbor, and an old robot is retired at
the latest when the live one reaches its maximum age (`latest_end`).
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tenantry.declared import Robot
from tenantry.marks import is_revoked
from tenantry.systems.harbor.client import Row
from tenantry.systems.kubernetes.kinds import HELD_ROBOT

ROBOT = HELD_ROBOT
"""Annotation of a Secret: the robot whose credential it holds, such as `pull-a`."""
SINCE = "tenantry.io/rotated"
"""Annotation of the first Secret: when the robot was published, for information only."""
PREVIOUS = "tenantry.io/previous-robot"
"""Annotation of the first Secret: the short names of the former robots."""
UNTIL = "tenantry.io/previous-until"
"""Annotation of the first Secret: when the former robots are retired."""
KEPT = (SINCE, PREVIOUS, UNTIL)
"""The annotations that only rotation changes."""

GRACE = timedelta(hours=36)
"""An old robot is past its retirement after this time, in which the next daily run retires it."""
IN_PROGRESS = timedelta(hours=1)
"""A candidate is published or deleted within this time."""


def pair(purpose: str) -> tuple[str, str]:
    """Return the short names of the two robots of a pair."""
    return f"{purpose}-a", f"{purpose}-b"


def other(short: str) -> str:
    """Return the other robot of a pair, such as `pull-b` for `pull-a`."""
    return f"{short[:-1]}{'b' if short.endswith('a') else 'a'}"


def short_of(username: str | None) -> str:
    """Return the short name of the robot with a user name."""
    return (username or "").rpartition("+")[2]


def live_robot(
    purpose: str,
    robot: Robot,
    annotations: Mapping[str, str],
    held: Collection[str],
    rows: Mapping[str, Row],
    now: datetime,
) -> str:
    """Return the short name of the live robot of a pair.

    A tenant can put an older credential back into its Secrets, and forge the annotation. So the
    newest robot is live if any Secret names it, and at the latest when the older one is too old or
    disabled.

    Args:
        purpose: the purpose of the pair.
        robot: the declared robot.
        annotations: those of the pair's first Secret; empty if it does not exist, or is not
            Tenantry's.
        held: the robots whose credentials the pair's Secrets hold, beginning with the first Secret.
        rows: the existing robots of the pair, by short name.
        now: the current time.

    Returns:
        The newest robot, or the older one if the newest was never published. If the Secret names a
        robot that was deleted, that robot. If no robot exists, the first of the pair.
    """
    names = pair(purpose)
    first, *others = [*held, ""]
    hints = [name for name in (annotations.get(ROBOT), first) if name in names]
    there = sorted(rows, key=lambda name: int(rows[name]["id"]))
    if not there:
        return str(hints[0]) if hints else names[0]
    newest = there[-1]
    if not hints or newest in (*hints, *others):
        return newest
    if there[0] in hints and len(there) > 1:
        return newest if is_over(rows[there[0]], robot, now) else there[0]
    return str(hints[0])


def is_over(row: Row, robot: Robot, now: datetime) -> bool:
    """Return whether a robot that is not the newest one can no longer be the live one."""
    end = latest_end(row, robot)
    return is_retired(row) or end is None or end + GRACE <= now


def is_retired(row: Row) -> bool:
    """Return whether a robot was disabled, other than by the offboarding of its team."""
    return bool(row["disable"]) and not is_revoked(row)


LONGEST = timedelta(days=30)
"""The maximum time that an old robot is kept after the declared overlap, if no maximum age is
declared."""


def latest_end(row: Row, robot: Robot) -> datetime | None:
    """Return when a robot reaches its maximum age; None if Harbor does not show its creation.

    At this time, the former robots are retired, regardless of the tenant's Secrets.
    """
    created = moment(row["creation_time"])
    if created is None:
        return None
    policy = robot.effective_rotation
    if robot.rotation is None:
        return created + timedelta(hours=policy.overlap_hours) + LONGEST
    return created + timedelta(days=policy.max_age_days)


def end_of_overlap(
    annotations: Mapping[str, str],
    names: Collection[str],
    live: Row | None,
    robot: Robot,
    now: datetime,
) -> datetime | None:
    """Return when the old robots of a pair are retired; None if the time is not known yet.

    Args:
        annotations: those of the pair's first Secret.
        names: the old robots that still work.
        live: the live robot; None if it does not exist.
        robot: the declared robot.
        now: the current time.
    """
    known, until = previous(annotations)
    longest = timedelta(hours=robot.effective_rotation.overlap_hours) + LONGEST_TOKEN
    if until is not None and (not known.issuperset(names) or until > now + longest):
        until = None  # no run writes such a late time: it was changed by hand
    end = latest_end(live, robot) if live else None
    if end is not None and (end <= now or (until is not None and end < until)):
        return end
    return until


LONGEST_TOKEN = timedelta(days=1)
"""The longest lifetime of a registry token: an old robot is kept for at least the token
lifetime."""


def previous(annotations: Mapping[str, str]) -> tuple[set[str], datetime | None]:
    """Return the former robots, and when they are retired, as the annotations record it."""
    names = {name for name in annotations.get(PREVIOUS, "").split(" ") if name}
    return names, moment(annotations.get(UNTIL))


_YEARS = range(1970, 3000)
"""The valid years. Date arithmetic fails for times near the limits of the type."""


def moment(text: str | None) -> datetime | None:
    """Return the time in a text of an annotation or of Harbor; None if it is missing or invalid."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except (ValueError, TypeError):
        return None
    if found is None or found.year not in _YEARS:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def written(time: datetime) -> str:
    """Return a time as text for an annotation."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def in_rotation(
    live: str,
    annotations: Mapping[str, str],
    rows: Mapping[str, Row],
    robot: Robot,
    now: datetime,
) -> Iterator[str]:
    """Yield the short names of the robots of a pair that may exist in addition to the live one.

    These are a robot in its overlap, a disabled robot that waits for its deletion, and a robot that
    a rotation has just created. Any other robot is past its retirement, and is an extra.

    Args:
        live: the live robot.
        annotations: those of the pair's first Secret.
        rows: the existing robots of the pair, by short name.
        robot: the declared robot.
        now: the current time.
    """
    newest = rows[live]["id"] if live in rows else -1
    names, _ = previous(annotations)
    for name, row in rows.items():
        if name == live:
            continue
        if row["id"] > newest and live in rows:
            end = moment(row["creation_time"])
            end = end and end + IN_PROGRESS
        elif is_retired(row):
            end = moment(row["update_time"])
            end = end and end + timedelta(hours=robot.effective_rotation.deletion_hours) + GRACE
        else:
            end = end_of_overlap(annotations, [name], rows.get(live), robot, now)
            end = end + GRACE if end and name in names else None
        if end is not None and now < end:
            yield name
