"""The two robots of a pair that take turns: which is live, which is old, and until when.

Of the robots in Harbor, the one with the lower number is the older: numbers only grow. So of a
pair's two robots, the one that is not live is either **old**, older than the live one: it was
published before, and a client may still use it. Or it is a **candidate**, newer than the live one: it
was never published, and no client can use it.

The annotations of a robot's first Secret say which robot is published, and until when the one before
it serves. A tenant can write them, and the Secret. So they are hints: they decide within limits that
Harbor sets. A robot's age counts from its creation in Harbor; an old robot serves until the live one
is as old as its rotation allows, at the latest (`latest_end`).
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tenantry.declared import Robot
from tenantry.systems.harbor.client import Row

ROBOT = "tenantry.io/robot"
"""Annotation of a Secret: which robot of the pair it holds, such as `pull-a`."""
SINCE = "tenantry.io/rotated"
"""Annotation of a robot's first Secret: when the robot was published. It informs people only."""
PREVIOUS = "tenantry.io/previous-robot"
"""... which robots were before it, by their names without Harbor's prefix and the project."""
UNTIL = "tenantry.io/previous-until"
"""... and until when those serve."""
KEPT = (SINCE, PREVIOUS, UNTIL)
"""What rotation writes and nobody else may drop."""

GRACE = timedelta(hours=36)
"""An old robot is retired by the next daily run, so that much later it has outstayed."""
IN_PROGRESS = timedelta(hours=1)
"""A candidate is published, or dropped, within that time."""


def pair(purpose: str) -> tuple[str, str]:
    """The short names of a purpose's two robots."""
    return f"{purpose}-a", f"{purpose}-b"


def other(short: str) -> str:
    """The other robot of a pair: `pull-b` for `pull-a`."""
    return f"{short[:-1]}{'b' if short.endswith('a') else 'a'}"


def short_of(username: str | None) -> str:
    """Return the short name of the robot that a user name is of."""
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

    A tenant can put an older credential back into its Secrets, and forge the annotation. So the newest
    robot is live if any Secret names it, and at the latest when the older one is too old or disabled.

    Args:
        purpose: the pair's.
        robot: what is declared.
        annotations: of the pair's first Secret; empty if it does not exist, or is not ours.
        held: the robots whose credentials the pair's Secrets hold, that of the first Secret first.
        rows: the pair's robots that exist, by short name.
        now: the time.

    Returns:
        The newest, unless it was never published: then the older one. If the Secret names a robot
        that does not exist, that one: it was deleted. If neither exists, the first of the pair.
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
    """Return whether a robot that is not the newest one cannot be the live one any more."""
    end = latest_end(row, robot)
    return bool(row["disable"]) or end is None or end + GRACE <= now


LONGEST = timedelta(days=30)
"""How much longer than declared an old robot serves at most, where no greatest age is declared."""


def latest_end(row: Row, robot: Robot) -> datetime | None:
    """Return when a robot is as old as its rotation allows; None if Harbor does not say its age.

    Then the robots before it are retired, whatever a tenant's Secrets hold and say.
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
    """Return until when the old robots of a pair serve; None if that is to be settled.

    Args:
        annotations: of the pair's first Secret.
        names: the old robots that still work.
        live: the live robot; None if it does not exist.
        robot: what is declared.
        now: the time.
    """
    known, until = previous(annotations)
    longest = timedelta(hours=robot.effective_rotation.overlap_hours) + LONGEST_TOKEN
    if until is not None and (not known.issuperset(names) or until > now + longest):
        until = None  # a later time than any run can have written is unknown
    end = latest_end(live, robot) if live else None
    if end is not None and (end <= now or (until is not None and end < until)):
        return end
    return until


LONGEST_TOKEN = timedelta(days=1)
"""A run lets an old robot serve as long as a token of the registry lives, at least."""


def previous(annotations: Mapping[str, str]) -> tuple[set[str], datetime | None]:
    """The robots that were before the live one, and until when they serve, as is written."""
    names = {name for name in annotations.get(PREVIOUS, "").split(" ") if name}
    return names, moment(annotations.get(UNTIL))


_YEARS = range(1970, 3000)
"""Years that count as valid: with times beyond some of them, date arithmetic fails."""


def moment(text: str | None) -> datetime | None:
    """A time as annotations and Harbor write it; None if it is missing or impossible."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except (ValueError, TypeError):
        return None
    if found is None or found.year not in _YEARS:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def written(time: datetime) -> str:
    """A time as annotations hold it."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def in_rotation(
    live: str,
    annotations: Mapping[str, str],
    rows: Mapping[str, Row],
    robot: Robot,
    now: datetime,
) -> Iterator[str]:
    """Yield the robots of a pair that may exist besides the live one, by short name.

    These are one that overlaps, one that is disabled and waits for its deletion, and one that a
    rotation is just creating. Any other one has expired its time: it is an extra.

    Args:
        live: the live one.
        annotations: of the pair's first Secret.
        rows: the pair's robots as Harbor shows them, by short name.
        robot: what is declared.
        now: the time.
    """
    newest = rows[live]["id"] if live in rows else -1
    names, _ = previous(annotations)
    for name, row in rows.items():
        if name == live:
            continue
        if row["id"] > newest and live in rows:
            end = moment(row["creation_time"])
            end = end and end + IN_PROGRESS
        elif row["disable"]:
            end = moment(row["update_time"])
            end = end and end + timedelta(hours=robot.effective_rotation.deletion_hours) + GRACE
        else:
            end = end_of_overlap(annotations, [name], rows.get(live), robot, now)
            end = end + GRACE if end and name in names else None
        if end is not None and now < end:
            yield name
