"""Determines the steps that a pair requires, from its state. It makes no calls and changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from tenantry.errors import TenantryError
from tenantry.rotation.due import RotationRequest, Why, planned, why_due
from tenantry.rotation.pair import NotOnboarded, Pair, Unread
from tenantry.rotation.sinks import Sink
from tenantry.systems.credentials.pairs import GRACE, moment
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at

Step = Literal[
    "kill", "end", "rotate", "drop", "publish", "overlap", "retire", "delete", "shorten", "clear"
]
"""A step of a rotation:

    kill     delete the compromised robots at once
    end      disable all robots of a pair that cannot be published
    rotate   create, test and publish the other robot
    drop     delete a robot that was never published
    publish  write the published credential to the sinks that lack it
    overlap  record until when the old robots work
    retire   disable the old robots
    delete   delete robots that were disabled for long enough
    shorten  let the robots of a removed purpose expire
    clear    delete the Secrets of a removed purpose

The approval of a suspended run names a hash of these values, so they do not change.
"""
State = Literal["in sync", "due", "overlapping", "waiting", "broken", "rotated", "failed"]
ACCEPTED, REJECTED = "accepted by Harbor", "rejected by Harbor"
"""The results of a test of the published credential."""


@dataclass(frozen=True)
class Outcome:
    """The state of a pair, the steps that it requires, and the steps that were taken.

    Attributes:
        team: the team's name.
        purpose: the purpose of the robots.
        state: the state.
        robot: short name of the live robot.
        why: why its credential is due, or was rotated.
        note: a problem, or what the rotation waits for.
        since: when the live robot was published.
        expires: when it expires.
        next: when its credential is due by policy.
        until: when the old robots are disabled.
        test: the result of the last test.
        steps: the steps to take.
        done: the changes, in words, including those before a failure.
        rotated: whether another robot was published.
        error: the failure.
    """

    team: str
    purpose: str
    state: State
    robot: str = ""
    why: Why | None = None
    note: str = ""
    since: datetime | None = None
    expires: datetime | None = None
    next: datetime | None = None
    until: datetime | None = None
    test: str = ""
    steps: tuple[Step, ...] = ()
    done: tuple[str, ...] = ()
    rotated: bool = False
    error: TenantryError | None = None

    @property
    def name(self) -> str:
        """The team and the purpose."""
        return f"{self.team}/{self.purpose}"

    def after(self, earlier: "Outcome") -> "Outcome":
        """Return this outcome together with that of an earlier try."""
        return replace(
            self,
            why=earlier.why or self.why,
            done=earlier.done + self.done,
            rotated=earlier.rotated or self.rotated,
        )

    def failed(self, error: TenantryError) -> "Outcome":
        """Return the outcome of a try that failed before the first change."""
        return replace(self, done=(), state="failed", note=str(error), error=error)


def assess(pair: Pair | Unread, request: RotationRequest, now: datetime) -> Outcome:
    """Return the state of a pair and the steps that it requires."""
    if isinstance(pair, Unread):
        return _assess_unread(pair, request)
    if pair.adopted is not None:
        return _assess_adopted(pair, pair.adopted, request, now)
    policy = pair.robot.rotation
    works = pair.published is not None
    row = pair.rows.get(pair.live)
    why = why_due(
        pair.team.name,
        policy,
        request,
        now,
        works=works,
        requested=row is None or request.covers(pair.name, row["id"]),
        since=pair.since,
        expires=pair.expires,
    )
    steps = _find_steps(pair, why, now)
    compromised = pair.compromised(request)
    if pair.refusal is not None:
        return _assess_unwritable(pair, why, compromised, now)
    if request.compromised and why != "compromised" and compromised:
        # The live robot is newer than the request. Only the overlapping one is compromised.
        kept: tuple[Step, ...] = tuple(s for s in steps if s in ("rotate", "drop", "publish"))
        steps = ("kill", *kept)
    state: State = "in sync"
    note = pair.problem
    if "rotate" in steps:
        state = "due"
    elif why is not None:
        state = "waiting"
        if pair.is_overlapping(now):
            note = "the other robot of the pair still overlaps, so the rotation waits for its end"
    elif not works:
        state = "broken"
        note = f"{note}; no rotation is declared, so onboard the team to repair it"
    elif pair.in_use:
        state = "overlapping"
    return Outcome(
        pair.team.name,
        pair.purpose,
        state,
        robot=pair.live,
        why=why,
        note=note,
        since=pair.since,
        expires=pair.expires,
        next=next_due(pair, pair.since, pair.expires),
        until=pair.until(now) if pair.in_use else None,
        test=ACCEPTED if works else REJECTED,
        steps=steps,
    )


def _assess_adopted(pair: Pair, adopted: Row, request: RotationRequest, now: datetime) -> Outcome:
    """Return the outcome of a pair whose first Secret keeps the credential of another owner's robot.

    The next rotation publishes the first robot of the pair. It retires the other owner's robot only if
    `replaces` names it: a tenant can write any robot's name into its Secret.
    """
    requested = request.covers(pair.name, adopted["id"])
    why: Why | None = None
    if requested and (request.compromised or request.force):
        why = "compromised" if request.compromised else "forced"
    elif pair.robot.rotation is not None or adopted["name"] in pair.replaced:
        why = "adopted"
    compromised = pair.compromised(request)
    if pair.refusal is not None:
        return _assess_unwritable(pair, why, compromised, now)
    note = f"the Secret holds the credential of '{adopted['name']}', which Tenantry did not create"
    if adopted["name"] not in pair.replaced:
        note += ". The rotation does not retire it, since 'replaces' of the robot does not name it"
    return Outcome(
        pair.team.name,
        pair.purpose,
        "due" if why else "in sync",
        robot=pair.live,
        why=why,
        note=note,
        since=moment(adopted["creation_time"]),
        expires=expires_at(adopted),
        test=ACCEPTED,
        steps=("rotate",) if why else (),
    )


def _assess_unwritable(
    pair: Pair, why: Why | None, compromised: Mapping[str, Row], now: datetime
) -> Outcome:
    """Return the outcome of a pair whose first Secret cannot be written.

    No credential can be published. Compromised robots are still deleted. Old robots are retired at the
    end of the longest possible overlap. The live robot is disabled if it is far older than declared:
    otherwise a team could keep its credential forever by changing its Secret.
    """
    steps: list[Step] = []
    if compromised:
        steps.append("kill")
    elif (policy := pair.robot.rotation) and pair.since and not any(map(_is_foreign, pair.sinks)):
        longest = timedelta(days=policy.max_age_days, hours=policy.overlap_hours) + GRACE
        if pair.since + longest <= now and not all(r["disable"] for r in pair.rows.values()):
            steps.append("end")
    if not steps and pair.in_use and pair.is_past_limit(now):
        steps.append("retire")
    return Outcome(
        pair.team.name,
        pair.purpose,
        "failed",
        robot=pair.live,
        why=why,
        note=str(pair.refusal),
        since=pair.since,
        expires=pair.expires,
        steps=tuple(steps),
        error=pair.refusal,
    )


def _is_foreign(sink: Sink) -> bool:
    return sink.is_foreign


def _assess_unread(unread: Unread, request: RotationRequest) -> Outcome:
    team, note = unread.team.name, str(unread.error)
    requested = request.force or request.compromised
    if isinstance(unread.error, NotOnboarded) and not requested:
        return Outcome(team, unread.purpose, "waiting", note=note)
    return Outcome(team, unread.purpose, "failed", note=note, error=unread.error)


def next_due(pair: Pair, since: datetime | None, expires: datetime | None) -> datetime | None:
    """Return when a pair is due by policy; None if it has no policy.

    Args:
        pair: the pair.
        since: when its live robot was created.
        expires: when its live robot expires; None if never.
    """
    policy = pair.robot.rotation
    if policy is None or since is None:
        return None
    return planned(pair.team.name, policy, since, expires)[0]


def _find_steps(pair: Pair, why: Why | None, now: datetime) -> tuple[Step, ...]:
    if why == "compromised":
        return ("rotate",)
    past_limit = pair.is_past_limit(now)
    if pair.published is None:  # The old robots are kept meanwhile, for a limited time.
        if why is not None:
            return ("rotate",)
        return ("retire",) if pair.in_use and past_limit else ()
    steps: list[Step] = []
    if pair.candidate is not None:
        steps.append("drop")
    if pair.outdated:
        steps.append("publish")
    waits = pair.waits_for_sinks(now)
    if pair.in_use and (waits or pair.until(now) is None):
        # The clients of a sink that lacks the credential need the old robot for a whole overlap.
        if not pair.outdated:
            return (*steps, "overlap")
        is_free = why is not None and pair.is_old_expired(now)
        return (*steps, "rotate") if is_free else tuple(steps)
    if why is not None and not pair.is_overlapping(now):
        return (*(step for step in steps if step != "drop"), "rotate")
    if pair.in_use and not pair.is_overlapping(now):
        steps.append("retire")
    if any(row["disable"] and pair.deletion_time(row) <= now for row in pair.old.values()):
        steps.append("delete")
    return tuple(steps)
