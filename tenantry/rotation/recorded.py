"""What the steps of all rotations share: their context, and writes that the outcome records."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantry.rotation.assess import Outcome
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.left_secrets import LeftSecret, LeftSecrets
from tenantry.systems.harbor.client import Row
from tenantry.systems.systems import Systems


@dataclass(frozen=True)
class Context:
    """The values that are the same for all pairs of a rotation."""

    systems: Systems
    request: RotationRequest
    """What was requested beyond the policy."""
    now: datetime
    token_lifetime: timedelta
    """How long a token of the registry is valid."""
    check: Callable[[], None]
    """Called before each write; raises if writes are no longer allowed."""
    report: Callable[[str], None]
    """Takes a line for the log for each change."""


class RecordedSteps:
    """Steps for the robots of one purpose. `outcome` records what they have done.

    Args:
        context: the values of the rotation.
        name: the name of the pair for the log.
        outcome: the steps to take.
    """

    def __init__(self, context: Context, name: str, outcome: Outcome) -> None:
        self._context = context
        self._now = context.now
        self._harbor = context.systems.harbor_client
        self._name = name
        self.outcome = outcome

    def _record(self, text: str, **changes: object) -> None:
        changes.setdefault("done", (*self.outcome.done, text))
        self.outcome = replace(self.outcome, **changes)  # type: ignore[arg-type]
        self._context.report(f"{self._name}: {text}")

    def _update(self, row: Row, text: str) -> None:
        self._context.check()
        self._harbor.put(f"/robots/{row['id']}", row)
        self._record(text)

    def _disable(self, name: str, row: Row) -> None:
        self._update({**row, "disable": True}, f"disabled {name}")

    def _delete(self, name: str, row: Row, why: str) -> None:
        self._context.check()
        self._harbor.delete(f"/robots/{row['id']}")
        self._record(f"deleted {name}: {why}")

    def _delete_secret(self, left: LeftSecrets, secret: LeftSecret, why: str = "") -> None:
        self._context.check()
        left.delete(secret)
        self._record(f"deleted Secret {secret}{why}")
