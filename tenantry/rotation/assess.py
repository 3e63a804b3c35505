"""What there is to do for a pair, decided from how it stands. It calls nothing and changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from tenantry.errors import TenantryError
from tenantry.rotation.due import RotationRequest, Why, planned, why_due
from tenantry.rotation.pair import NotOnboarded, Pair, Unread
from tenantry.rotation.sinks import Sink
from tenantry.systems.credentials.pairs import GRACE
from tenantry.systems.harbor.client import Row

Step = Literal[
    "kill", "end", "rotate", "drop", "publish", "overlap", "retire", "delete", "shorten", "clear"
]
State = Literal["in order", "due", "overlaps", "waits", "broken", "rotated", "failed"]


@dataclass(frozen=True)
class Outcome:
    """How a pair stands, and what was done to it.

    Attributes:
        team: the team's name.
        purpose: the robots'.
        state: in a word.
        robot: short name of the live robot.
        why: why its credential is due, or was exchanged.
        note: what a person should know: a problem, what is waited for.
        since: when the live robot was published.
        expires: when it stops working.
        next: when its credential is due by policy.
        until: when the old robots are retired.
        test: what came of the last test.
        steps: what is to be done.
        done: what was done, in words; kept also where it failed then.
        rotated: whether another robot was published.
        error: what stopped it.
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
        """Team and purpose."""
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


def assess(pair: Pair | Unread, order: RotationRequest, now: datetime) -> Outcome:
    """What there is to do for a pair, and why."""
    if isinstance(pair, Unread):
        return _unread(pair, order)
    policy = pair.robot.rotation
    works = pair.published is not None
    row = pair.rows.get(pair.live)
    why = why_due(
        pair.team.name,
        policy,
        order,
        now,
        works=works,
        asked=row is None or order.covers(pair.name, row["id"]),
        since=pair.since,
        expires=pair.expires,
    )
    steps = _steps(pair, why, now)
    doomed = pair.compromised(order)
    if pair.refusal is not None:
        return _unwritable(pair, why, doomed, now)
    if order.compromised and why != "compromised" and doomed:
        # It was rotated since that was asked for, and what is known to others overlaps.
        kept: tuple[Step, ...] = tuple(s for s in steps if s in ("rotate", "drop", "publish"))
        steps = ("kill", *kept)
    state: State = "in order"
    note = pair.problem
    if "rotate" in steps:
        state = "due"
    elif why is not None:
        state = "waits"
        if pair.is_overlapping(now):
            note = "the other robot of the pair still overlaps: it is rotated after that"
    elif not works:
        state, note = "broken", f"{note}; no rotation is declared, so onboard the team to mend it"
    elif pair.in_use:
        state = "overlaps"
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
        test="opens Harbor" if works else "does not open Harbor",
        steps=steps,
    )


def _unwritable(pair: Pair, why: Why | None, doomed: Mapping[str, Row], now: datetime) -> Outcome:
    """Return what there is to do for a pair whose first Secret can't be written.

    No credential can be published. Compromised robots are deleted all the same. Old robots are
    retired when they have served as long as anything can let them; the live one is, too, if it is far
    older than declared: a team could keep its credential forever by its Secret.
    """
    steps: list[Step] = []
    if doomed:
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


def _unread(unread: Unread, order: RotationRequest) -> Outcome:
    team, note = unread.team.name, str(unread.error)
    asked = order.force or order.compromised
    if isinstance(unread.error, NotOnboarded) and not asked:
        return Outcome(team, unread.purpose, "waits", note=note)
    return Outcome(team, unread.purpose, "failed", note=note, error=unread.error)


def next_due(pair: Pair, since: datetime | None, expires: datetime | None) -> datetime | None:
    """When a pair is due by policy that was published then; None if there is no policy."""
    policy = pair.robot.rotation
    if policy is None or since is None:
        return None
    return planned(pair.team.name, policy, since, expires)[0]


def _steps(pair: Pair, why: Why | None, now: datetime) -> tuple[Step, ...]:
    if why == "compromised":
        return ("rotate",)
    past_limit = pair.is_past_limit(now)
    if pair.published is None:  # nothing is retired while that is so, for a limited time
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
        # The clients of a sink that is only written now need the old robot all that time.
        if not pair.outdated:
            return (*steps, "overlap")
        return (*steps, "rotate") if why is not None and pair.is_old_dead(now) else tuple(steps)
    if why is not None and not pair.is_overlapping(now):
        return (*(step for step in steps if step != "drop"), "rotate")
    if pair.in_use and not pair.is_overlapping(now):
        steps.append("retire")
    if any(row["disable"] and pair.gone_at(row) <= now for row in pair.old.values()):
        steps.append("delete")
    return tuple(steps)
