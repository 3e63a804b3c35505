"""Retires the robots of a purpose that a declared team no longer has.

Harbor holds all of the state, so nothing that a tenant can write makes it longer, and a run that died
is continued by the next one:

1. Each robot that works gets an end: it expires after the overlap, and at most a day later, since
   Harbor counts whole days. Harbor enforces that.
2. Once none of them works, the Secrets and their attachments are removed: nothing can use them.
3. Expired robots are disabled, and deleted after `deletion_hours`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil

from tenantry.declared import Robot
from tenantry.errors import ChangedMeanwhile
from tenantry.rotation.assess import Outcome, Step
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.removed import Removed
from tenantry.systems.credentials.accounts import detach
from tenantry.systems.credentials.pairs import moment
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, robot_fields
from tenantry.systems.systems import Systems

_BY_HAND = Robot().effective_rotation
OVERLAP = timedelta(hours=_BY_HAND.overlap_hours)
"""How long the robots of a removed purpose still work."""
DELETION = timedelta(hours=_BY_HAND.deletion_hours)
"""How long they are kept, disabled, after that."""
_WHOLE_DAYS = ceil(OVERLAP / timedelta(days=1))


def _is_ending(row: Row, now: datetime) -> bool:
    """Whether a robot expires as soon as it is to."""
    expires = expires_at(row)
    return expires is not None and expires - now <= timedelta(days=_WHOLE_DAYS + 1)


def _is_gone(row: Row, now: datetime) -> bool:
    disabled = moment(row["update_time"])
    return bool(row["disable"]) and disabled is not None and disabled + DELETION <= now


def assess_removed(state: Removed, order: RotationRequest, now: datetime) -> Outcome:
    """Return what there is to do for a purpose that the team no longer has."""
    working = state.working(now)
    steps: list[Step] = []
    if order.compromised and any(order.covers(state.name, n) for n in state.numbers):
        steps.append("kill")
    elif any(not _is_ending(row, now) for row in working.values()):
        steps.append("shorten")
    elif not working:
        if state.secrets or state.attached:
            steps.append("clear")
        if any(not row["disable"] for row in state.rows.values()):
            steps.append("retire")
        if any(_is_gone(row, now) for row in state.rows.values()):
            steps.append("delete")
    ends = [end for row in working.values() if (end := expires_at(row)) is not None]
    return Outcome(
        state.team.name,
        state.purpose,
        "overlaps" if working else "waits",
        robot=max(state.rows, key=lambda name: int(state.rows[name]["id"])),
        note="the team no longer declares it: its robots are retired",
        expires=max(ends, default=None),
        until=max(ends, default=None),
        steps=tuple(steps),
    )


class Retirement:
    """Retires the robots of one purpose. Each step is safe to repeat.

    Args:
        systems: the systems.
        state: the robots.
        outcome: what there is to do.
        now: the time.
        check: asked before each write; raises if nothing may be written any more.
        report: is given each thing that was done.
    """

    def __init__(
        self,
        systems: Systems,
        state: Removed,
        outcome: Outcome,
        now: datetime,
        check: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        self._systems = systems
        self._harbor = systems.harbor_client
        self._state = state
        self._now = now
        self._check = check
        self._report = report
        self.outcome = outcome

    def take(self, step: Step) -> None:
        """Take one of the steps."""
        now, rows = self._now, self._state.rows
        match step:
            case "kill":
                for name, row in rows.items():
                    self._delete(name, row, "its secret is known to others")
            case "shorten":
                for name, row in self._state.working(now).items():
                    if not _is_ending(row, now):
                        self._shorten(name, row)
            case "clear":
                self._clear()
            case "retire":
                for name, row in rows.items():
                    if not row["disable"]:
                        self._put(name, {**row, "disable": True}, f"disabled {name}")
            case "delete":
                for name, row in rows.items():
                    if _is_gone(row, now):
                        self._delete(name, row, "it was disabled for long enough")

    def _shorten(self, name: str, row: Row) -> None:
        duration = robot_fields(row, self._now)["lifetime"].renewed(_WHOLE_DAYS)
        if row["expires_at"] < 0:
            created = moment(row["creation_time"])
            if created is None:
                raise ChangedMeanwhile("harbor", f"robot {name}", "it has no time of creation")
            duration = ceil((self._now - created) / timedelta(days=1)) + _WHOLE_DAYS
        until = self._now + timedelta(days=_WHOLE_DAYS)
        text = f"let {name} expire soon after {until:%Y-%m-%d %H:%M} UTC"
        self._put(name, {**row, "duration": duration}, text)

    def _clear(self) -> None:
        cluster, secret = self._systems.home_cluster, f"harbor-{self._state.purpose}"
        for namespace in self._state.attached:
            self._check()
            detach(cluster, namespace, secret)
            self._did(f"detached {secret} in {namespace}")
        for found in self._state.secrets:
            metadata = found["metadata"]
            self._check()
            cluster.delete("Secret", metadata["name"], metadata["namespace"], metadata["uid"])
            self._did(f"deleted Secret {metadata['namespace']}/{metadata['name']}")

    def _put(self, name: str, row: Row, text: str) -> None:
        self._check()
        self._harbor.put(f"/robots/{row['id']}", row)
        self._did(text)

    def _delete(self, name: str, row: Row, why: str) -> None:
        self._check()
        self._harbor.delete(f"/robots/{row['id']}")
        self._did(f"deleted {name}: {why}")

    def _did(self, text: str) -> None:
        self.outcome = replace(self.outcome, done=(*self.outcome.done, text))
        self._report(f"{self._state.name}: {text}")
