"""The two robots of a pair that take turns: which is live, which is old, and until when.

Nothing but the systems remembers it. The annotations of a robot's first Secret say which
robot is published, since when, which one was before it and until when that one serves. Of
the robots in Harbor, the one with the lower number is the older: numbers only grow.

So of a pair's two robots, the one that is not live is either **old**, older than the live
one: it was published before, somebody may still use it. Or it is a **candidate**, newer than
the live one: it was never published, and nobody can use it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tenantry.systems.harbor.client import Row

ROBOT = "tenantry.io/robot"
"""Annotation of a Secret: which robot of the pair it holds, such as `pull-a`."""
SINCE = "tenantry.io/rotated"
"""Annotation of a robot's first Secret: when the robot was published."""
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


def live_robot(
    purpose: str,
    annotations: Mapping[str, str],
    username: str | None,
    numbers: Mapping[str, int],
) -> str:
    """Which robot of a pair is the live one.

    Args:
        purpose: the pair's.
        annotations: of its first Secret; empty if there is none, or if it is not ours.
        username: whose credential that Secret holds.
        numbers: of the robots that there are, by short name.

    Returns:
        The one that the Secret names; else whose credential it holds; else the newest, since
        that is nobody's whose credential could still be known; else the first of the pair.
    """
    names = pair(purpose)
    named = annotations.get(ROBOT)
    if named in names:
        return str(named)
    held = (username or "").rsplit("+", 1)[-1]
    if held in names:
        return held
    there = [name for name in names if name in numbers]
    return max(there, key=lambda name: numbers[name], default=names[0])


def since(annotations: Mapping[str, str], row: Row | None) -> datetime | None:
    """When the live robot was published: as its Secret says, else when it was made."""
    published = moment(annotations.get(SINCE))
    if published is not None or row is None:
        return published
    return moment(row["creation_time"])


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
    deletion: timedelta,
    now: datetime,
) -> Iterator[str]:
    """The robots of a pair that are there beside the live one as they should be, by short name.

    One that overlaps, one that is disabled and waits for its deletion, and one that is just
    being made. Any other beside the live one has outstayed: it is an extra.

    Args:
        live: the live one.
        annotations: of the pair's first Secret.
        rows: the pair's robots as Harbor shows them, by short name.
        deletion: how long a disabled robot is kept.
        now: the time.
    """
    newest = rows[live]["id"] if live in rows else -1
    names, until = previous(annotations)
    for name, row in rows.items():
        if name == live:
            continue
        if row["id"] > newest and live in rows:
            end = moment(row["creation_time"])
            end = end and end + IN_PROGRESS
        elif row["disable"]:
            end = moment(row["update_time"])
            end = end and end + deletion + GRACE
        else:
            end = until + GRACE if until and name in names else None
        if end is not None and now < end:
            yield name
