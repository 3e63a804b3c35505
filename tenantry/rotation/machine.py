"""Rotates pairs of robots: takes the steps that their state requires. Each step is safe to repeat.

The state of a pair is read from the systems before each rotation. If a process dies, the next one
continues at the step that is left. The caller holds the team's lock, so only one process rotates a
pair at a time.
"""

from dataclasses import replace

from tenantry.errors import SystemRefused
from tenantry.rotation.assess import Outcome, assess
from tenantry.rotation.pair import Found, Unread, as_rotation_error
from tenantry.rotation.recorded import Context
from tenantry.rotation.removed import Removed
from tenantry.rotation.retirement import Retirement, assess_removed
from tenantry.rotation.steps import PairSteps


def walk_pair(context: Context, pair: Found) -> Outcome:
    """Take all steps that a pair requires, and return the outcome.

    A failure is part of the outcome, and not raised.
    """
    request, now = context.request, context.now
    try:
        if not isinstance(pair, Unread):
            request.record_robots(pair.name, pair.numbers)
        if isinstance(pair, Removed):
            return _retire(context, pair)
        outcome = assess(pair, request, now)
    except Exception as error:  # noqa: BLE001 one pair's failure, of any kind
        failure = Unread(pair.team, pair.purpose, as_rotation_error(error))
        return assess(failure, request, now)
    if isinstance(pair, Unread) or not outcome.steps:
        return outcome
    steps = PairSteps(context, pair, outcome)
    refused = pair.refusal
    try:
        for step in outcome.steps:
            try:
                steps.take(step)
            except SystemRefused as refusal:
                if step != "publish":
                    raise
                # A sink that cannot be written must not prevent the other steps.
                refused = refusal
        if refused is not None:
            raise refused
    except Exception as error:  # noqa: BLE001 one pair's failure, of any kind
        return _failed(steps.outcome, error)
    return steps.outcome


def _retire(context: Context, removed: Removed) -> Outcome:
    """Retire the robots of a purpose that the team no longer declares."""
    outcome = assess_removed(removed, context.request, context.now)
    retirement = Retirement(context, removed, outcome)
    try:
        for step in outcome.steps:
            retirement.take(step)
    except Exception as error:  # noqa: BLE001 one purpose's failure, of any kind
        return _failed(retirement.outcome, error)
    return retirement.outcome


def _failed(outcome: Outcome, error: Exception) -> Outcome:
    failure = as_rotation_error(error)
    return replace(outcome, state="failed", error=failure, note=str(failure))
