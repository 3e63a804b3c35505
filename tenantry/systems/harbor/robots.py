"""Robots in Harbor: in the form that the planner compares, and in the form that Harbor takes."""

import math
from datetime import UTC, datetime

from tenantry.declared import Robot
from tenantry.resources import Elapsed, Id
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.kinds import ROBOT
from tenantry.wording import count, days_off


def robot_id(project: str, robot: str) -> Id:
    """Return the id of a robot of a project, by its short name, such as `pull-a`."""
    return Id(ROBOT, f"{project}/{robot}")


def permissions(project: str, robot: Robot) -> list[Row]:
    """Return the permissions of a robot in the form that Harbor takes."""
    pairs = (access.split(":") for access in robot.access)
    access = [{"resource": resource, "action": action} for resource, action in pairs]
    return [{"kind": "project", "namespace": project, "access": access}]


def new_robot(project: str, short: str, robot: Robot, description: str) -> Row:
    """Return the body of the request that creates a robot."""
    return {
        "name": short,
        "description": description,
        "level": "project",
        "duration": -1 if robot.expiry_days == "never" else robot.expiry_days,
        "permissions": permissions(project, robot),
    }


def short_name(row: Row) -> str:
    """Return the name of a robot without Harbor's prefix and the project."""
    name: str = row["name"]
    return name.rsplit("+", 1)[-1]


def purpose_of(short: str) -> str:
    """Return the purpose of a robot of a pair; empty if its name is not of that form."""
    purpose, _, side = short.rpartition("-")
    return purpose if side in ("a", "b") else ""


def only_project(row: Row) -> str | None:
    """Return the project to which the permissions of a robot are limited; None if there are others."""
    found = {(each["kind"], each["namespace"]) for each in row.get("permissions") or ()}
    kind, project = found.pop() if len(found) == 1 else ("", "*")
    return str(project) if kind == "project" and project != "*" else None


def works(row: Row, now: datetime) -> bool:
    """Return whether a robot is neither disabled nor expired."""
    expires = expires_at(row)
    return not row["disable"] and (expires is None or expires > now)


def expires_at(row: Row) -> datetime | None:
    """Return when a robot expires; None if it never does, or in a year that no date can have."""
    if row["expires_at"] < 0:
        return None
    try:
        return datetime.fromtimestamp(row["expires_at"], UTC)
    except (OverflowError, ValueError, OSError):
        return None


def robot_fields(row: Row, now: datetime) -> Row:
    """Return a robot in the form of the desired fields. Harbor lists permissions in any order."""
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
"""A robot expires soon in its last 14 days, or in the last quarter of its lifetime if that is
shorter."""


class Lifetime:
    """The lifetime of a robot, which is compared with the declared number of days.

    Harbor counts the duration of a robot from its creation, so a robot that is renewed for N days
    gets its age plus N as its duration. The robot is in sync if its duration is at least N days,
    and it expires in at most N days (plus one, because the age is rounded up).
    """

    def __init__(self, days: int, age: float, end: datetime | None = None) -> None:
        """
        Args:
            days: the duration of the robot; negative if it never expires.
            age: the days since its creation.
            end: when it expires; None if it never does.
        """
        self._days = days
        self._age = age
        self._end = end

    @classmethod
    def of(cls, row: Row, now: datetime) -> "Lifetime":
        """Return the lifetime of a robot."""
        if row["expires_at"] < 0:
            return cls(-1, 0)
        created = row["expires_at"] - row["duration"] * 86400
        return cls(row["duration"], (now.timestamp() - created) / 86400, expires_at(row))

    @property
    def expiry(self) -> str:
        """FAR_OFF, or the time of the expiry if the robot must be renewed."""
        left = self._days - self._age
        if self._days < 0 or left > min(_SOON, self._days * _LAST_PART):
            return FAR_OFF
        return Elapsed(days_off(left), f"on {self._end}")

    @property
    def end(self) -> datetime | None:
        """When the robot expires; None if it never does."""
        return self._end

    @property
    def has_ended(self) -> bool:
        """Whether the robot has expired."""
        return 0 <= self._days <= self._age

    @property
    def fixed(self) -> str:
        """The lifetime as a text that does not change as time passes."""
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
        """Return the duration with which the robot expires in this number of days."""
        return math.ceil(self._age) + days
