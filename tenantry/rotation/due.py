"""Which credentials are due, and when all others will be. The time is given, never asked for."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tenantry.declared import Rotation
from tenantry.declared.harbor_project import EARLIEST_ROTATION

Why = Literal["compromised", "broken", "forced", "expiry", "age"]
"""Why a credential is exchanged, the most urgent first."""
URGENCY: tuple[Why, ...] = ("compromised", "broken", "forced", "expiry", "age")


@dataclass(frozen=True)
class RotationRequest:
    """What a person asks for, beyond what is due by policy.

    The order is about the robots that exist when a run reads them first. Harbor numbers robots in
    the order of their creation. So robots with larger numbers are newer than the order, and a run
    that is repeated does not rotate twice. No clock and nothing that a tenant can write decides it.

    Attributes:
        given: when it was asked for; it goes into the audit trail.
        force: exchange credentials that are not due.
        compromised: old credentials are known to others: they are deleted first.
        reason: why, in a person's words; it goes into the audit trail.
        newest_robots: By the name of a pair: the largest number of its robots at the first observation.
            A run that is started again is given those of its first attempt.
    """

    given: datetime
    force: bool = False
    compromised: bool = False
    reason: str = ""
    newest_robots: dict[str, int] = field(default_factory=dict, compare=False)

    def record_robots(self, name: str, numbers: Iterable[int]) -> None:
        """Keep the numbers of a pair's robots, unless that was done before."""
        self.newest_robots.setdefault(name, max(numbers, default=0))

    def covers(self, name: str, number: int) -> bool:
        """Return whether a robot of a pair already existed when the order was begun."""
        return name not in self.newest_robots or number <= self.newest_robots[name]


def spread(team: str) -> float:
    """The team's own place, from 0 to 1, in the time in which credentials come due.

    It is always the same for a team, so teams that were onboarded in one hour stay apart.
    """
    digest = hashlib.sha256(team.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def planned(
    team: str, policy: Rotation, since: datetime, expires: datetime | None
) -> tuple[datetime, Why]:
    """When a credential is due by policy, and why then.

    Args:
        team: the team's name.
        policy: the robot's.
        since: when its robot was created.
        expires: when the robot stops working; None if never.
    """
    part = EARLIEST_ROTATION + (1 - EARLIEST_ROTATION) * spread(team)
    aged = since + timedelta(days=policy.max_age_days) * part
    if expires is None:
        return aged, "age"
    expiring = expires - timedelta(days=policy.before_expiry_days)
    return (expiring, "expiry") if expiring < aged else (aged, "age")


def why_due(
    team: str,
    policy: Rotation | None,
    order: RotationRequest,
    now: datetime,
    *,
    works: bool,
    asked: bool,
    since: datetime | None,
    expires: datetime | None,
) -> Why | None:
    """Why a credential is to be exchanged now; None if it is not.

    Args:
        team: the team's name.
        policy: the robot's; without one nothing happens by itself.
        order: what somebody asked for.
        now: the time.
        works: whether the published credential opens Harbor.
        asked: whether the order concerns its robot, or the robot does not exist.
        since: when its robot was created; None if that is not known.
        expires: when its robot stops working; None if never.
    """
    if order.compromised and asked:
        return "compromised"
    if not works and (policy is not None or order.force):
        return "broken"
    if order.force and asked:
        return "forced"
    if policy is None or since is None:
        return None
    when, why = planned(team, policy, since, expires)
    return why if when <= now else None
