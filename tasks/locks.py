"""One lock for each team, held in Prefect: two runs never change the same team at the same time.

The lock of a team is the global concurrency limit `team-<name>` of 1, which is created when it is first
needed. Onboarding, remediation, rotation and migration take it. The lock of the platform is `platform`.
A lock is held by a lease, which expires when the process of the holder dies.

`prefect.concurrency.sync.concurrency` is not used. Read in Prefect 3.8.8: it skips names that do not
exist, even in strict mode; an inactive limit admits every run; it does not log that it waits; it reports
a lost lease only to the thread that took the slots, not to the threads that write; and it emits an event
for each name that lists all others.
"""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse
from prefect.runtime import flow_run

from tasks.lock_limits import (
    create_limit,
    describe_holders,
    describe_owners,
    emit_taken,
    find_limits,
    limit_name,
    quick_client,
)
from tasks.prefect_api import run_logger
from tenantry.calls import TIMEOUT, map_concurrently
from tenantry.errors import SystemUnavailable
from tenantry.locks import LockUnusable

LEASE = 60.0
"""Seconds after which the lock of a dead holder is free: the shortest lease that Prefect grants."""
RENEWAL = 10.0
"""Seconds between two renewals."""
POLL_INTERVAL = 2.0
"""Seconds between two attempts to take a lock that another run holds."""
MAX_WAIT = 15 * 60.0
"""Seconds after which a waiting run fails."""
_LOG_INTERVAL = 30.0


class LockLost(SystemUnavailable):
    """The lock may be lost: nothing may be written before it is taken again."""


class TeamLock:
    """The locks of some teams, taken all at once or not at all, so that two runs never deadlock.

    In place of a team's name, PLATFORM stands for the platform. Use it as a context manager, any number
    of times in sequence. `check` may be called from any thread.
    """

    def __init__(self, teams: Collection[str], confirm: Callable[[], None] = lambda: None) -> None:
        """
        Args:
            teams: the names of the teams, or PLATFORM.
            confirm: called each time the locks are taken. If it raises, they are released.
        """
        self._teams = sorted(teams)
        self._confirm = confirm
        self._names = [limit_name(team) for team in self._teams]
        self._stack = ExitStack()
        self._gone = threading.Event()
        self._sure_until = 0.0

    def __enter__(self) -> Self:
        """Take the locks, and wait for other holders.

        Raises:
            LockUnusable: a limit is inactive, or another run has held a lock for too long.
            SystemUnavailable: Prefect does not answer.
            TenantryError: `confirm` raised it.
        """
        with ExitStack() as stack:
            client = stack.enter_context(quick_client())
            began = time.monotonic()
            try:
                self._prepare(client)
                sent, lease = self._wait(client)
            except httpx.HTTPError as error:
                raise self._unavailable("take", error) from None
            stack.callback(self._release, client, lease, began)
            self._gone.clear()
            self._sure_until = _sure_until(sent)
            stack.enter_context(_Background(lambda stop: self._renew(client, lease, stop)))
            self._confirm()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def hold(self) -> None:
        """Take the locks again if they are lost: earlier observations are out of date then."""
        try:
            self.check()
        except LockLost:
            self.__exit__(None, None, None)
            self.__enter__()

    def check(self) -> None:
        """Check that the locks are held, and will be for as long as a call may take.

        Raises:
            LockLost: they are not, or may not be.
        """
        if self._gone.is_set() or time.monotonic() > self._sure_until:
            reason = (
                "Prefect reports that the lease has expired"
                if self._gone.is_set()
                else f"it could not be renewed for {LEASE - TIMEOUT:.0f} s"
            )
            raise LockLost(
                "prefect",
                f"lock of {describe_owners(self._teams)}",
                f"it is lost: {reason}. Nothing was written after that",
                advice="Another run may be changing these teams now; the next run completes the rest.",
            )

    # The limits

    def _prepare(self, client: SyncPrefectClient) -> None:
        """Create the missing limits.

        Raises:
            LockUnusable: a limit is inactive, or has another value than 1.
        """
        found = {limit.name: limit for limit in find_limits(client, self._names)}
        missing = [name for name in self._names if name not in found]
        map_concurrently(lambda name: create_limit(client, name), missing)
        wrong = {
            team: limit
            for team, name in zip(self._teams, self._names, strict=True)
            if (limit := found.get(name)) and not (limit.active and limit.limit == 1)
        }
        if wrong:
            states = ", ".join(
                f"'{limit.name}' " + (f"is {limit.limit}" if limit.active else "is not active")
                for limit in wrong.values()
            )
            raise LockUnusable(
                list(wrong),
                f"lock of {describe_owners(list(wrong))}",
                f"the concurrency limit {states}, and must be 1 and active to keep two runs from "
                "changing the same team at the same time",
                "Correct it under Concurrency in the UI, or with: prefect "
                f"global-concurrency-limit update {limit_name(min(wrong))} --limit 1 --enable",
            )

    # The lease

    def _wait(self, client: SyncPrefectClient) -> tuple[float, UUID]:
        """Return the time of the request and the lease, once no other run holds one of the locks."""
        began = time.monotonic()
        logged, logged_at = "", began
        while True:
            sent = time.monotonic()
            lease = self._take(client)
            if lease is not None:
                if logged:
                    run_logger().info("Took the lock of %s.", describe_owners(self._teams))
                return sent, lease
            busy = self._busy(client)
            holders = describe_holders(client, busy)
            if busy and (holders != logged or sent > logged_at + _LOG_INTERVAL):
                run_logger().info(
                    "Waiting for %s, which holds the lock of %s.", holders, describe_owners(busy)
                )
                logged, logged_at = holders, sent
            if busy and sent > began + MAX_WAIT:
                raise LockUnusable(
                    busy,
                    f"lock of {describe_owners(busy)}",
                    f"{holders} has held it for more than {MAX_WAIT / 60:.0f} minutes",
                    "If that run is dead, free it: prefect global-concurrency-limit update "
                    f"{limit_name(busy[0])} --active-slots 0",
                )
            time.sleep(POLL_INTERVAL)

    def _take(self, client: SyncPrefectClient) -> UUID | None:
        """Take all locks in one call; return None if another run holds one of them."""
        run = flow_run.id
        holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(run)) if run else None
        try:
            answer = client.increment_concurrency_slots_with_lease(
                self._names, 1, "concurrency", LEASE, holder
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.LOCKED:
                return None
            raise
        granted = ConcurrencyLimitWithLeaseResponse.model_validate(answer.json())
        if len(granted.limits) < len(self._names):  # one was deleted a moment ago
            client.release_concurrency_slots_with_lease(granted.lease_id)
            self._prepare(client)
            return None
        emit_taken(self._teams, granted.lease_id)
        return granted.lease_id

    def _busy(self, client: SyncPrefectClient) -> list[str]:
        """Return the teams whose locks are held."""
        limits = find_limits(client, self._names)
        taken = {limit.name for limit in limits if limit.active_slots >= limit.limit}
        return [team for team in self._teams if limit_name(team) in taken]

    def _renew(self, client: SyncPrefectClient, lease: UUID, stop: threading.Event) -> None:
        while not stop.wait(RENEWAL):
            sent = time.monotonic()
            try:
                client.renew_concurrency_lease(lease, LEASE)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == httpx.codes.GONE:
                    self._gone.set()
                    return
            except httpx.HTTPError:
                pass  # the next may succeed; until then the clock says how long the lease is valid
            else:
                self._sure_until = _sure_until(sent)

    def _release(self, client: SyncPrefectClient, lease: UUID, began: float) -> None:
        try:
            client.release_concurrency_slots_with_lease(lease)
        except httpx.HTTPError as error:
            run_logger().warning(
                "The lock of %s could not be released (%s); it expires within %.0f s.",
                describe_owners(self._teams),
                type(error).__name__,
                LEASE,
            )
        held = time.monotonic() - began
        run_logger().debug("Held the lock of %s for %.1f s.", describe_owners(self._teams), held)

    def _unavailable(self, what: str, error: httpx.HTTPError) -> SystemUnavailable:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        return SystemUnavailable(
            "prefect",
            f"{what} the lock of {describe_owners(self._teams)}",
            f"no lock was granted ({type(error).__name__})",
            status=status,
        )


class _Background:
    """Runs a function in a thread while the context lasts, and then sets the event that stops it."""

    def __init__(self, work: Callable[[threading.Event], None]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=work, args=(self._stop,), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2)


def _sure_until(sent: float) -> float:
    """Return the time until which a call may begin under a lease, since it may take TIMEOUT."""
    return sent + LEASE - TIMEOUT
