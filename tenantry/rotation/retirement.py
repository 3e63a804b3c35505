"""Retires the robots of a purpose that a declared team no longer declares.

All state is in Harbor. Tenants cannot extend the time, and the next run continues after a run that died:

1. Each working robot gets an expiry: after the overlap, and at most a day later, since Harbor counts
   whole days. Harbor enforces it.
2. Once no robot works, the Secrets and the references to them are deleted: no client can use them.
3. The expired robots are disabled, and deleted after `deletion_hours`.
"""

from datetime import datetime, timedelta
from math import ceil

from tenantry.declared import Robot
from tenantry.errors import ChangedMeanwhile
from tenantry.rotation.assess import Outcome, Step
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.left_secrets import LeftSecrets
from tenantry.rotation.recorded import Context, RecordedSteps
from tenantry.rotation.removed import Removed
from tenantry.systems.credentials.accounts import detach
from tenantry.systems.credentials.pairs import moment
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, robot_fields

_DEFAULTS = Robot().effective_rotation
OVERLAP = timedelta(hours=_DEFAULTS.overlap_hours)
"""How long the robots of a removed purpose keep working."""
DELETION = timedelta(hours=_DEFAULTS.deletion_hours)
"""How long they are kept as disabled robots after that."""
_WHOLE_DAYS = ceil(OVERLAP / timedelta(days=1))


def _expires_soon(row: Row, now: datetime) -> bool:
    """Return whether a robot expires by the end of the overlap, in whole days."""
    expires = expires_at(row)
    return expires is not None and expires - now <= timedelta(days=_WHOLE_DAYS + 1)


def _is_due_for_deletion(row: Row, now: datetime) -> bool:
    disabled = moment(row["update_time"])
    return bool(row["disable"]) and disabled is not None and disabled + DELETION <= now


def assess_removed(state: Removed, request: RotationRequest, now: datetime) -> Outcome:
    """Return the steps for a purpose that the team no longer declares."""
    working = state.working(now)
    steps: list[Step] = []
    if request.compromised and any(request.covers(state.name, n) for n in state.numbers):
        steps.append("kill")
    elif any(not _expires_soon(row, now) for row in working.values()):
        steps.append("shorten")
    elif not working:
        if state.secrets or state.attached:
            steps.append("clear")
        if any(not row["disable"] for row in state.rows.values()):
            steps.append("retire")
        if any(_is_due_for_deletion(row, now) for row in state.rows.values()):
            steps.append("delete")
    ends = [end for row in working.values() if (end := expires_at(row)) is not None]
    return Outcome(
        state.team.name,
        state.purpose,
        "overlapping" if working else "waiting",
        robot=max(state.rows, key=lambda name: int(state.rows[name]["id"])),
        note="the team no longer declares this purpose, so its robots are retired",
        expires=max(ends, default=None),
        until=max(ends, default=None),
        steps=tuple(steps),
    )


class Retirement(RecordedSteps):
    """Retires the robots of one purpose. Each step is safe to repeat.

    Args:
        context: the values of the rotation.
        state: the robots.
        outcome: the steps to take.
    """

    def __init__(self, context: Context, state: Removed, outcome: Outcome) -> None:
        super().__init__(context, state.name, outcome)
        self._state = state

    def take(self, step: Step) -> None:
        """Take a step."""
        now, rows = self._now, self._state.rows
        match step:
            case "kill":
                for name, row in rows.items():
                    self._delete(name, row, "its secret is compromised")
            case "shorten":
                for name, row in self._state.working(now).items():
                    if not _expires_soon(row, now):
                        self._shorten(name, row)
            case "clear":
                self._clear()
            case "retire":
                for name, row in rows.items():
                    if not row["disable"]:
                        self._disable(name, row)
            case "delete":
                for name, row in rows.items():
                    if _is_due_for_deletion(row, now):
                        self._delete(name, row, "it was disabled for long enough")

    def _shorten(self, name: str, row: Row) -> None:
        duration = robot_fields(row, self._now)["lifetime"].renewed(_WHOLE_DAYS)
        if row["expires_at"] < 0:
            created = moment(row["creation_time"])
            if created is None:
                raise ChangedMeanwhile("harbor", f"robot {name}", "it has no creation time")
            duration = ceil((self._now - created) / timedelta(days=1)) + _WHOLE_DAYS
        until = self._now + timedelta(days=_WHOLE_DAYS)
        text = f"set {name} to expire soon after {until:%Y-%m-%d %H:%M} UTC"
        self._update({**row, "duration": duration}, text)

    def _clear(self) -> None:
        cluster = self._context.systems.home_cluster
        for namespace, name in self._state.attached:
            self._context.check()
            detach(cluster, namespace, name)
            self._record(f"detached {name} from the ServiceAccount in {namespace}")
        left = LeftSecrets(self._context.systems, self._state.team, self._state.purpose)
        for secret in self._state.secrets:
            self._delete_secret(left, secret)
