"""The audit trail: who exchanged what, when and why. It never holds a secret.

Each run has a file of its own, with a line of JSON for the run and one for each pair that it
touched: a file is only ever written by its run, so two runs cannot spoil each other's.
"""

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tenantry.errors import TenantryError
from tenantry.files import FileStore
from tenantry.rotation.assess import Outcome
from tenantry.rotation.due import RotationRequest

FOLDER = "rotation-audit"


class Trail:
    """One run's lines. Safe to use from many threads.

    Args:
        store: the store of the audit trail; None to keep none.
        run: the run's id.
        who: who started it.
        order: what was asked for.
        now: the time.

    Attributes:
        error: why a line could not be kept; None if all were.

    Raises:
        TenantryError: the store can't be written: it is told before anything is changed.
    """

    def __init__(
        self, store: FileStore | None, run: str, who: str, order: RotationRequest, now: datetime
    ) -> None:
        self._store = store
        self._name = f"{FOLDER}/{now:%Y-%m-%dT%H-%M-%S}-{run}.jsonl"
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self.error: TenantryError | None = None
        self._about = {"run": run, "who": who}
        self._add({"when": now, "what": ["run began"], "order": _asked(order)})

    def add(self, outcome: Outcome, now: datetime) -> None:
        """Takes down what was done to a pair; nothing is if nothing was done.

        What was done is done: a store that can't be written by now is kept in `error`, not raised.
        """
        if not (outcome.done or outcome.error):
            return
        try:
            self._add(self._line(outcome, now))
        except TenantryError as error:
            self.error = error

    def _line(self, outcome: Outcome, now: datetime) -> dict[str, Any]:
        return {
            "when": now,
            "team": outcome.team,
            "purpose": outcome.purpose,
            "why": outcome.why,
            "what": list(outcome.done),
            "live": outcome.robot,
            "rotated": outcome.rotated,
            "old until": outcome.until,
            "error": str(outcome.error) if outcome.error else None,
        }

    def _add(self, line: Mapping[str, Any]) -> None:
        text = json.dumps({**line, **self._about}, default=datetime.isoformat)
        with self._lock:
            self._lines.append(text)
            if self._store is not None:
                self._store.write(self._name, "".join(f"{each}\n" for each in self._lines).encode())


def _asked(order: RotationRequest) -> dict[str, Any]:
    return {
        "given": order.given,
        "force": order.force,
        "compromised": order.compromised,
        "reason": order.reason,
    }
