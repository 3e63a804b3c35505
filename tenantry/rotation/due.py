"""Determines which credentials are due, and when the others will be. Callers pass the time."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tenantry.declared import Rotation
from tenantry.declared.harbor_project import EARLIEST_ROTATION

Why = Literal["compromised", "broken", "forced", "expiry", "adopted", "age"]
"""Why a credential is rotated, the most urgent first."""
URGENCY: tuple[Why, ...] = ("compromised", "broken", "forced", "expiry", "adopted", "age")


@dataclass(frozen=True)
class RotationRequest:
    """What a person requests beyond the policy.

    A request covers the robots that exist when a run observes them first. Harbor assigns ids in the
    order of creation, so robots with larger ids are newer than the request. A repeated run therefore
    rotates no robot twice. This depends neither on clocks nor on anything that a tenant can write.

    Attributes:
        requested_at: when it was requested, for the audit trail.
        force: whether to rotate credentials that are not due.
        compromised: whether the old credentials are compromised, and deleted first.
        reason: the person's reason, for the audit trail.
        newest_robots: the largest id of a pair's robots at the first observation, by the pair's name.
            A run that is started again gets those of its first attempt.
    """

    requested_at: datetime
    force: bool = False
    compromised: bool = False
    reason: str = ""
    newest_robots: dict[str, int] = field(default_factory=dict, compare=False)

    def record_robots(self, name: str, numbers: Iterable[int]) -> None:
        """Record the ids of a pair's robots, unless they are recorded already."""
        self.newest_robots.setdefault(name, max(numbers, default=0))

    def covers(self, name: str, number: int) -> bool:
        """Return whether a robot of a pair is not newer than the request."""
        return name not in self.newest_robots or number <= self.newest_robots[name]


def spread(team: str) -> float:
    """Return a number from 0 to 1 that is fixed for a team, and differs between teams.

    Teams that were onboarded at the same time are thus rotated at different times.
    """
    digest = hashlib.sha256(team.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def planned(
    team: str, policy: Rotation, since: datetime, expires: datetime | None
) -> tuple[datetime, Why]:
    """Return when a credential is due by policy, and why.

    Args:
        team: the team's name.
        policy: the rotation of the robot.
        since: when the robot was created.
        expires: when the robot expires; None if never.
    """
    part = EARLIEST_ROTATION + (1 - EARLIEST_ROTATION) * spread(team)
    by_age = since + timedelta(days=policy.max_age_days) * part
    if expires is None:
        return by_age, "age"
    by_expiry = expires - timedelta(days=policy.before_expiry_days)
    return (by_expiry, "expiry") if by_expiry < by_age else (by_age, "age")


def why_due(
    team: str,
    policy: Rotation | None,
    request: RotationRequest,
    now: datetime,
    *,
    works: bool,
    requested: bool,
    since: datetime | None,
    expires: datetime | None,
) -> Why | None:
    """Return why a credential is to be rotated now; None if it is not.

    Args:
        team: the team's name.
        policy: the rotation of the robot; None if it is rotated by request only.
        request: what a person requests.
        now: the time.
        works: whether Harbor accepts the published credential.
        requested: whether the request covers the robot, or the robot does not exist.
        since: when the robot was created; None if this is unknown.
        expires: when the robot expires; None if never.
    """
    if request.compromised and requested:
        return "compromised"
    if not works and (policy is not None or request.force):
        return "broken"
    if request.force and requested:
        return "forced"
    if policy is None or since is None:
        return None
    when, why = planned(team, policy, since, expires)
    return why if when <= now else None
