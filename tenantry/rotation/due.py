"""Whose credential is due, and when everybody else's will be. Time is given, never asked for."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tenantry.declared import Rotation
from tenantry.declared.team import SOONEST

Why = Literal["compromised", "broken", "forced", "expiry", "age"]
"""Why a credential is exchanged, the most urgent first."""
URGENCY: tuple[Why, ...] = ("compromised", "broken", "forced", "expiry", "age")


@dataclass(frozen=True)
class Order:
    """What somebody asks for, beyond what is due by policy.

    Attributes:
        given: when it was asked for. What was published since then is done: so a run that is
            repeated does not rotate twice.
        force: exchange credentials that are not due.
        compromised: old credentials are known to others: they die first.
        reason: why, in a person's words; it goes into the audit trail.
    """

    given: datetime
    force: bool = False
    compromised: bool = False
    reason: str = ""


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
        since: when the credential was published.
        expires: when the robot stops working; None if never.
    """
    part = SOONEST + (1 - SOONEST) * spread(team)
    aged = since + timedelta(days=policy.max_age_days) * part
    if expires is None:
        return aged, "age"
    expiring = expires - timedelta(days=policy.before_expiry_days)
    return (expiring, "expiry") if expiring < aged else (aged, "age")


def why_due(
    team: str,
    policy: Rotation | None,
    order: Order,
    now: datetime,
    *,
    works: bool,
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
        since: when it was published; None if nobody knows.
        expires: when its robot stops working; None if never.
    """
    asked = since is None or since < order.given
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
