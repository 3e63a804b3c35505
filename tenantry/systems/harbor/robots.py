"""Harbor's robots: in the form that the planner compares, and as Harbor wants them sent."""

import math
from datetime import UTC, datetime

from tenantry.declared import Robot
from tenantry.resources import Elapsed, Id
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.kinds import ROBOT
from tenantry.wording import count, days_off


def robot_id(project: str, robot: str) -> Id:
    """How a project's robot is known in plans; `robot` is its short name, such as `pull-a`."""
    return Id(ROBOT, f"{project}/{robot}")


def permissions(project: str, robot: Robot) -> list[Row]:
    """What the robot may do, as Harbor wants it."""
    pairs = (access.split(":") for access in robot.access)
    access = [{"resource": resource, "action": action} for resource, action in pairs]
    return [{"kind": "project", "namespace": project, "access": access}]


def new_robot(project: str, short: str, robot: Robot, description: str) -> Row:
    """A robot as it is created."""
    return {
        "name": short,
        "description": description,
        "level": "project",
        "duration": -1 if robot.expiry_days == "never" else robot.expiry_days,
        "permissions": permissions(project, robot),
    }


def short_name(row: Row) -> str:
    """A robot's name without Harbor's prefix and its project."""
    name: str = row["name"]
    return name.rsplit("+", 1)[-1]


def purpose_of(short: str) -> str:
    """Return the purpose of a robot of a pair; empty if its name is not of that form."""
    purpose, _, side = short.rpartition("-")
    return purpose if side in ("a", "b") else ""


def expires_at(row: Row) -> datetime | None:
    """When a robot stops working; None if never, or later than there are years to write it."""
    if row["expires_at"] < 0:
        return None
    try:
        return datetime.fromtimestamp(row["expires_at"], UTC)
    except (OverflowError, ValueError, OSError):
        return None


def robot_fields(row: Row, now: datetime) -> Row:
    """A robot in the form of the desired fields. Harbor gives permissions in no stable order."""
    access = {
        f"{entry['resource']}:{entry['action']}"
        for permission in row.get("permissions") or []
        for entry in permission.get("access") or []
    }
    lifetime = Lifetime.of(row, now)
    return {
        "access": sorted(access),
        "description": row.get("description", ""),
        "disabled": row["disable"],
        "lifetime": lifetime,
        "expiry": lifetime.expiry,
    }


FAR_OFF = "not soon"
_SOON = 14  # days
_LAST_PART = 0.25
"""A robot expires soon within its last fourteen days, or its last quarter if that is less."""


class Lifetime:
    """How long a robot lives. Compared with the declared number of days.

    Harbor counts a robot's duration from its creation, so renewing one for N days
    makes its duration its age plus N. It is as declared if it lives no shorter than
    N days in all and, from now on, no longer than N days (and the one that an age
    is rounded up by).
    """

    def __init__(self, days: int, age: float, end: datetime | None = None) -> None:
        """
        Args:
            days: the robot's duration; negative if it never expires.
            age: days since its creation.
            end: when it expires, as far as that is a date.
        """
        self._days = days
        self._age = age
        self._end = end

    @classmethod
    def of(cls, row: Row, now: datetime) -> "Lifetime":
        """The lifetime of one of Harbor's robots."""
        if row["expires_at"] < 0:
            return cls(-1, 0)
        created = row["expires_at"] - row["duration"] * 86400
        return cls(row["duration"], (now.timestamp() - created) / 86400, expires_at(row))

    @property
    def expiry(self) -> str:
        """FAR_OFF, or when it expires or has expired: then it is to be renewed."""
        left = self._days - self._age
        if self._days < 0 or left > min(_SOON, self._days * _LAST_PART):
            return FAR_OFF
        return Elapsed(days_off(left), f"on {self._end}")

    @property
    def fixed(self) -> str:
        """The lifetime without its present age, so that it stays the same as time passes."""
        if self._days < 0:
            return "never expires"
        return f"{count(self._days, 'day')}, until {self._end}"

    def __eq__(self, other: object) -> bool:
        if other == "never" or self._days < 0:
            return other == "never" and self._days < 0
        left = self._days - self._age
        return isinstance(other, int) and self._days >= other and left <= other + 1

    def __hash__(self) -> int:
        return hash((self._days, self._age))

    def __str__(self) -> str:
        if self._days < 0:
            return "never expires"
        left = self._days - self._age
        verb = "expires" if left > 0 else "expired"
        return f"{count(self._days, 'day')}, {verb} {days_off(left)}"

    __repr__ = __str__

    def renewed(self, days: int) -> int:
        """The duration that makes the robot expire that many days from now."""
        return math.ceil(self._age) + days
