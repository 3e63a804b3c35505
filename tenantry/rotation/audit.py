"""The audit trail: who rotated which credential, when and why. It never holds a secret.

Each run writes its own file of JSON lines: one for the run, and one for each pair that it changed. Two
runs never write the same file. The keys of the lines do not change, since other tools read them.
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
    """The audit trail of one run. It is thread-safe.

    Args:
        store: the store of the audit trail; None to keep none.
        run: the run's id.
        who: who started the run.
        request: what was requested beyond the policy.
        now: the time.

    Attributes:
        error: why a line could not be written; None if all were.

    Raises:
        TenantryError: the store cannot be written. Nothing was changed yet.
    """

    def __init__(
        self,
        store: FileStore | None,
        run: str,
        who: str,
        request: RotationRequest,
        now: datetime,
    ) -> None:
        self._store = store
        self._name = f"{FOLDER}/{now:%Y-%m-%dT%H-%M-%S}-{run}.jsonl"
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self.error: TenantryError | None = None
        self._about = {"run": run, "who": who}
        self._add({"when": now, "what": ["run began"], "order": _as_row(request)})

    def add(self, outcome: Outcome, now: datetime) -> None:
        """Write a line about a pair, if it was changed or failed.

        The changes cannot be undone, so a failed write is kept in `error` and not raised.
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
                content = "".join(f"{written}\n" for written in self._lines)
                self._store.write(self._name, content.encode())


def _as_row(request: RotationRequest) -> dict[str, Any]:
    return {
        "given": request.requested_at,
        "force": request.force,
        "compromised": request.compromised,
        "reason": request.reason,
    }
