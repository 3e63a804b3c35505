"""Reports of a rotation: a table of all pairs, and a page about each pair that was changed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tenantry.rotation.assess import Outcome, State
from tenantry.rotation.audit import Trail
from tenantry.rotation.run import RotationRun
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count, days

_ORDER: tuple[State, ...] = (
    "failed",
    "broken",
    "due",
    "waiting",
    "rotated",
    "overlapping",
    "in sync",
)
_WHY = {
    "compromised": "its secret is compromised",
    "broken": "it did not work",
    "forced": "a user requested it",
    "expiry": "its robot was about to expire",
    "adopted": "it was the credential of a robot that Tenantry did not create",
    "age": "of its age",
}


def rows(outcomes: Iterable[Outcome], now: datetime) -> list[dict[str, str]]:
    """Return a row for each pair, those that need attention first."""
    return [
        {
            "robot": f"{outcome.team}/{outcome.robot or outcome.purpose}",
            "state": outcome.state,
            "note": outcome.note,
            "next": _when(outcome.next) or ("on request only" if outcome.robot else ""),
            "age": days((now - outcome.since) / timedelta(days=1)) if outcome.since else "",
            "expires": _when(outcome.expires) or ("never" if outcome.robot else ""),
            "last rotation": _when(outcome.since),
            "old one until": _when(outcome.until),
            "last test": outcome.test,
        }
        for outcome in sorted(outcomes, key=_urgency)
    ]


def _urgency(outcome: Outcome) -> tuple[int, float, str]:
    when = outcome.next.timestamp() if outcome.next else float("inf")
    return _ORDER.index(outcome.state), when, outcome.name


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the number of credentials in each state, in a sentence."""
    states = Counter(outcome.state for outcome in outcomes)
    parts = [f"{states[state]} {state}" for state in _ORDER if states[state]]
    return f"{count(len(outcomes), 'credential')}: {', '.join(parts) or 'none'}."


def problems(run: RotationRun, trail: Trail, outcomes: Iterable[Outcome]) -> list[str]:
    """Return why a run failed, in lines; none if it succeeded."""
    reasons = [f"{outcome.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    if absent := run.systems.state.faults_of(run.names):
        origin = run.systems.state.origin
        text = f"Faulty in {origin}; credentials were rotated with their current permissions:"
        reasons += [text, *absent]
    if run.unnamed:
        reasons.append(
            f"Teams that a file without a team name may declare: {', '.join(run.unnamed)}. Their "
            "credentials were rotated with their current permissions. Set the team name in each "
            "file, or delete the file."
        )
    if trail.error is not None:
        reasons.append(str(trail.error))
    return reasons


def page(outcome: Outcome, now: datetime) -> Markdown:
    """Return a page about the changes to one pair, and the end of its overlap."""
    why = _WHY.get(outcome.why or "", "")
    robot = code(outcome.robot)
    parts = [markdown("# Robot {} of team {}", code(outcome.purpose), code(outcome.team))]
    if outcome.rotated:
        parts.append(
            markdown(
                "The credential was rotated at {} UTC, because {}. The new robot is {}.",
                _when(now),
                why,
                robot,
            )
        )
    elif why:
        parts.append(markdown("The credential of {} must be rotated, because {}.", robot, why))
    if outcome.done:
        parts.append(joined("\n", (markdown("1. {}", step) for step in outcome.done)))
    if outcome.until is not None:
        parts.append(
            markdown(
                "**The old credential works until {} UTC.** Copies that were made by hand must be "
                "replaced by then. The next run after that disables the old robot, and a later run "
                "deletes it.",
                _when(outcome.until),
            )
        )
    if outcome.error is not None:
        parts += [
            markdown("**The rotation failed:** {}", str(outcome.error)),
            markdown("{}", _after_failure(outcome)),
        ]
    if outcome.next is not None:
        parts.append(markdown("The next rotation is due at {} UTC.", _when(outcome.next)))
    return markdown("{}\n", joined("\n\n", parts))


def _after_failure(outcome: Outcome) -> str:
    if outcome.rotated:
        return "The new credential is published. The next run completes the rotation. No robot was retired."
    if outcome.why == "compromised":
        return "The old robots may already be deleted. Start the run again at once."
    return "The old credential is still published. The next run tries again."


def _when(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""
