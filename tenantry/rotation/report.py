"""A rotation, told to people: a table of all pairs, and a page on each pair that was touched."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tenantry.rotation.assess import Outcome, State
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count, days

_ORDER: tuple[State, ...] = ("failed", "broken", "due", "waits", "rotated", "overlaps", "in order")
_WHY = {
    "compromised": "its secret is known to others",
    "broken": "it did not work",
    "forced": "somebody asked for it",
    "expiry": "its robot expires soon",
    "age": "of its age",
}


def rows(outcomes: Iterable[Outcome], now: datetime) -> list[dict[str, str]]:
    """A row for each pair, those that need somebody first."""
    return [
        {
            "robot": f"{outcome.team}/{outcome.robot or outcome.purpose}",
            "state": outcome.state,
            "note": outcome.note,
            "next": _when(outcome.next) or ("not by itself" if outcome.robot else ""),
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
    """What it came to, in a line."""
    states = Counter(outcome.state for outcome in outcomes)
    parts = [f"{states[state]} {state}" for state in _ORDER if states[state]]
    return f"{count(len(outcomes), 'credential')}: {', '.join(parts) or 'none'}."


def page(outcome: Outcome, now: datetime) -> Markdown:
    """Return a page on what was done for one pair, and when the old one goes."""
    why = _WHY.get(outcome.why or "", "")
    robot = code(outcome.robot)
    parts = [markdown("# Robot {} of team {}", code(outcome.purpose), code(outcome.team))]
    if outcome.rotated:
        parts.append(markdown("{} is published since {} UTC, because {}.", robot, _when(now), why))
    elif why:
        parts.append(markdown("{} was to be exchanged, because {}.", robot, why))
    if outcome.done:
        parts.append(joined("\n", (markdown("1. {}", step) for step in outcome.done)))
    if outcome.until is not None:
        parts.append(
            markdown(
                "**The old one works until {} UTC**; a run after that disables it, and a later one "
                "deletes it. Whoever copied it by hand has that long.",
                _when(outcome.until),
            )
        )
    if outcome.error is not None:
        parts += [
            markdown("**It stopped:** {}", str(outcome.error)),
            markdown("{}", _after_failure(outcome)),
        ]
    if outcome.next is not None:
        parts.append(markdown("It is due again on {} UTC.", _when(outcome.next)))
    return markdown("{}\n", joined("\n\n", parts))


def _after_failure(outcome: Outcome) -> str:
    if outcome.rotated:
        return "The new one is published. The next run finishes what is left; nothing is retired."
    if outcome.why == "compromised":
        return "The old ones may be gone already: run it again at once."
    return "The old one is in place as before. The next run tries again."


def _when(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""
