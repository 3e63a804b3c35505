"""Rotates pairs of robots: takes the steps that their state requires. Each step is safe to repeat.

The state of a pair is read from the systems before each rotation. If a process dies, the next one
continues at the step that is left. The caller holds the team's lock, so only one process rotates a
pair at a time.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from tenantry.errors import SystemRefused
from tenantry.rotation.assess import Outcome, assess
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.pair import Found, Unread, as_rotation_error
from tenantry.rotation.removed import Removed
from tenantry.rotation.retirement import Retirement, assess_removed
from tenantry.rotation.steps import PairSteps
from tenantry.systems.systems import Systems


class Machine:
    """Rotates pairs.

    Args:
        systems: the systems.
        request: what was requested beyond the policy.
        now: the time.
        token_lifetime: how long a token of the registry is valid.
        check: called before each write; raises if writes are no longer allowed.
        report: takes a line for the log for each change.
    """

    def __init__(
        self,
        systems: Systems,
        request: RotationRequest,
        now: datetime,
        token_lifetime: timedelta,
        check: Callable[[], None] = lambda: None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._systems = systems
        self._request = request
        self._now = now
        self._token_lifetime = token_lifetime
        self._check = check
        self._report = report

    def walk(self, pair: Found) -> Outcome:
        """Take all steps that a pair requires, and return the outcome.

        A failure is part of the outcome, and not raised.
        """
        try:
            if not isinstance(pair, Unread):
                self._request.record_robots(pair.name, pair.numbers)
            if isinstance(pair, Removed):
                return self._retire(pair)
            outcome = assess(pair, self._request, self._now)
        except Exception as error:  # noqa: BLE001 one pair's failure, of any kind
            failure = Unread(pair.team, pair.purpose, as_rotation_error(error))
            return assess(failure, self._request, self._now)
        if isinstance(pair, Unread) or not outcome.steps:
            return outcome
        steps = PairSteps(
            self._systems,
            pair,
            outcome,
            self._request,
            self._now,
            self._token_lifetime,
            self._check,
            self._report,
        )
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

    def _retire(self, removed: Removed) -> Outcome:
        """Retire the robots of a purpose that the team no longer declares."""
        outcome = assess_removed(removed, self._request, self._now)
        retirement = Retirement(
            self._systems, removed, outcome, self._now, self._check, self._report
        )
        try:
            for step in outcome.steps:
                retirement.take(step)
        except Exception as error:  # noqa: BLE001 one purpose's failure, of any kind
            return _failed(retirement.outcome, error)
        return retirement.outcome


def _failed(outcome: Outcome, error: Exception) -> Outcome:
    failure = as_rotation_error(error)
    return replace(outcome, state="failed", error=failure, note=str(failure))
