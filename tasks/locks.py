"""One lock a team, kept by Prefect: no two runs change the same team at the same time.

A team's lock is the global concurrency limit `team-<name>` of 1, made on first use. Whoever
changes a team takes it: onboarding, rotation, migration. The platform's own, for whoever
configures it, is `platform`. A lock is held on a lease, which ends by itself when its holder dies.

`prefect.concurrency.sync.concurrency` is not used. Read in Prefect 3.8.8: of several names it
passes over those that do not exist, also if strict; a switched-off limit lets everybody in;
it says nothing while it waits; it tells only the thread that took the slots when they are
lost, and so not those that write; and it sends an event a name that lists all the others.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.client.schemas.responses import (
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
)
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import flow_run

from tasks.prefect_api import emit, run_logger
from tenantry.calls import TIMEOUT, map_concurrently
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.plan import describe_owner as told
from tenantry.resources import PLATFORM

LEASE = 60.0
"""Seconds after which a dead holder's lock is free: the shortest that Prefect grants."""
RENEWAL = 10.0
"""Seconds between two renewals."""
LOOK = 2.0
"""Seconds between two tries to get a lock that somebody has."""
PATIENCE = 15 * 60.0
"""Seconds after which a run that waits gives up."""
TAKEN = "tenantry.lock.taken"
"""The event that says who has locks; its related resources are the limits."""
_SAID_EVERY = 30.0
_PAGE = 200
_RELATED = 50  # an event has room for 100 resources, the run's own included


class LockLost(SystemUnavailable):
    """The lock is no longer ours for sure: nothing may be written before it is taken again."""


class LockUnusable(SystemRefused):
    """A lock can't be had before somebody changes something.

    Attributes:
        teams: whose lock it is; the others' are fine.
    """

    def __init__(self, teams: Collection[str], call: str, reason: str, advice: str) -> None:
        super().__init__("prefect", call, reason, advice=advice)
        self.teams = list(teams)


class TeamLock:
    """The locks of some teams, taken all at once or not at all, so two runs never block each other.

    In place of a team's name, PLATFORM stands for the platform.

    Use it as a context manager, any number of times, one after the other. `check` may be asked
    from any thread.
    """

    def __init__(self, teams: Collection[str]) -> None:
        self._teams = sorted(teams)
        self._names = [limit_name(team) for team in self._teams]
        self._stack = ExitStack()
        self._gone = threading.Event()
        self._sure_until = 0.0

    def __enter__(self) -> Self:
        """Takes the locks, and waits for whoever has one of them.

        Raises:
            LockUnusable: a lock is switched off, or somebody has it for very long.
            SystemUnavailable: Prefect does not answer.
        """
        with ExitStack() as stack:
            client = stack.enter_context(impatient_client())
            began = time.monotonic()
            try:
                self._prepare(client)
                sent, lease = self._wait(client)
            except httpx.HTTPError as error:
                raise self._unavailable("take", error) from None
            stack.callback(self._release, client, lease, began)
            self._gone.clear()
            self._sure_until = _sure_until(sent)
            stack.enter_context(_Beside(lambda stop: self._renew(client, lease, stop)))
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
        """Takes the locks again if they are lost: what was seen before then counts no more."""
        try:
            self.check()
        except LockLost:
            self.__exit__(None, None, None)
            self.__enter__()

    def check(self) -> None:
        """Whether the locks are held, and will be for as long as a call may take.

        Raises:
            LockLost: they are not, or may not be.
        """
        if self._gone.is_set() or time.monotonic() > self._sure_until:
            reason = (
                "Prefect says that the lease is gone"
                if self._gone.is_set()
                else f"it could not be renewed for {LEASE - TIMEOUT:.0f} s"
            )
            raise LockLost(
                "prefect",
                f"lock of {_told(self._teams)}",
                f"it is lost: {reason}. Nothing was written since",
                advice="Somebody else may be at work there now; running again finishes the rest.",
            )

    # The limits

    def _prepare(self, client: SyncPrefectClient) -> None:
        """Makes the limits that are not there yet.

        Raises:
            LockUnusable: somebody switched one off, or set it to anything but 1.
        """
        found = {limit.name: limit for limit in self._limits(client)}
        missing = [name for name in self._names if name not in found]
        map_concurrently(lambda name: _create(client, name), missing)
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
                f"lock of {_told(list(wrong))}",
                f"the concurrency limit {states}, and must be 1 and active to keep two runs from "
                "changing the same team at once",
                "Correct it under Concurrency in the UI, or by: prefect "
                f"global-concurrency-limit update {limit_name(min(wrong))} --limit 1 --enable",
            )

    def _limits(self, client: SyncPrefectClient) -> Iterator[GlobalConcurrencyLimitResponse]:
        """Our limits, as far as there are any: one by its name, more from the list of all."""
        if len(self._names) == 1:
            try:
                yield client.read_global_concurrency_limit_by_name(self._names[0])
            except ObjectNotFound:
                return
            return
        ours = set(self._names)
        offset = 0
        while True:
            page = client.read_global_concurrency_limits(limit=_PAGE, offset=offset)
            yield from (limit for limit in page if limit.name in ours)
            if len(page) < _PAGE:
                return
            offset += _PAGE

    # The lease

    def _wait(self, client: SyncPrefectClient) -> tuple[float, UUID]:
        """The lease, and when it was asked for, once nobody else has one of the locks."""
        began = time.monotonic()
        said, said_at = "", began
        while True:
            sent = time.monotonic()
            lease = self._take(client)
            if lease is not None:
                if said:
                    run_logger().info("Got the lock of %s.", _told(self._teams))
                return sent, lease
            busy = self._busy(client)
            who = _holders(client, busy)
            if busy and (who != said or sent > said_at + _SAID_EVERY):
                run_logger().info("Waiting for %s, which has the lock of %s.", who, _told(busy))
                said, said_at = who, sent
            if busy and sent > began + PATIENCE:
                raise LockUnusable(
                    busy,
                    f"lock of {_told(busy)}",
                    f"{who} has it for more than {PATIENCE / 60:.0f} minutes",
                    "If that run is dead, free it: prefect global-concurrency-limit update "
                    f"{limit_name(busy[0])} --active-slots 0",
                )
            time.sleep(LOOK)

    def _take(self, client: SyncPrefectClient) -> UUID | None:
        """All locks in one call; None if somebody has one of them."""
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
        if len(granted.limits) < len(self._names):  # somebody deleted one a moment ago
            client.release_concurrency_slots_with_lease(granted.lease_id)
            self._prepare(client)
            return None
        self._tell(granted)
        return granted.lease_id

    def _tell(self, granted: ConcurrencyLimitWithLeaseResponse) -> None:
        """Says by an event who has the locks; Prefect adds the run."""
        resource = {
            "prefect.resource.id": f"tenantry.lock.{granted.lease_id}",
            "prefect.resource.name": _told(self._teams),
        }
        for first in range(0, len(self._names), _RELATED):
            related = [
                {
                    "prefect.resource.id": f"tenantry.{name}",
                    "prefect.resource.role": "lock",
                    "prefect.resource.name": name,
                }
                for name in self._names[first : first + _RELATED]
            ]
            emit(TAKEN, resource, related=related)

    def _busy(self, client: SyncPrefectClient) -> list[str]:
        """The teams whose lock somebody has."""
        taken = {limit.name for limit in self._limits(client) if limit.active_slots >= limit.limit}
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
                pass  # the next may succeed; until then the clock says how long it is ours
            else:
                self._sure_until = _sure_until(sent)

    def _release(self, client: SyncPrefectClient, lease: UUID, began: float) -> None:
        try:
            client.release_concurrency_slots_with_lease(lease)
        except httpx.HTTPError as error:
            run_logger().warning(
                "The lock of %s could not be given back (%s); it ends by itself within %.0f s.",
                _told(self._teams),
                type(error).__name__,
                LEASE,
            )
        held = time.monotonic() - began
        run_logger().debug("Had the lock of %s for %.1f s.", _told(self._teams), held)

    def _unavailable(self, what: str, error: httpx.HTTPError) -> SystemUnavailable:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        return SystemUnavailable(
            "prefect",
            f"{what} the lock of {_told(self._teams)}",
            f"no lock was granted ({type(error).__name__})",
            status=status,
        )


def impatient_client() -> SyncPrefectClient:
    """A client of Prefect's API whose waits are an eighth of its own where the server says 503.

    The server says so, and does nothing, where SQLite is locked for a moment: it reads the limits
    before it writes them, which SQLite refuses while anybody else writes. Prefect's client waits
    2, 4, 8 and more seconds then: a batch of 300 teams stood still for a third of its time.
    """
    settings = {"event_hooks": {"response": [_ask_again_soon]}}
    return get_client(httpx_settings=settings, sync_client=True)


def _ask_again_soon(response: httpx.Response) -> None:
    """Gives an answer the header by which Prefect's client waits, if the server gave it none."""
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        tries = response.request.extensions.get("tries", 0) + 1
        response.request.extensions["tries"] = tries
        response.headers.setdefault("Retry-After", str(2**tries / 8))


class _Beside:
    """A function that runs beside the context, and is told to stop at its end."""

    def __init__(self, work: Callable[[threading.Event], None]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=work, args=(self._stop,), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2)


def limit_name(team: str) -> str:
    """The name of the concurrency limit of a team, or of the platform."""
    return "platform" if team == PLATFORM else f"team-{team}"


def _sure_until(sent: float) -> float:
    """Until when a lease that was asked for at a time lets a call begin: it may take TIMEOUT."""
    return sent + LEASE - TIMEOUT


def _create(client: SyncPrefectClient, name: str) -> None:
    with suppress(ObjectAlreadyExists):  # another run was faster
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


def _holders(client: SyncPrefectClient, teams: list[str]) -> str:
    """The runs that have the locks of these teams, in words."""
    found = {_holder(client, limit_name(team)) for team in teams[:3]} - {""}
    return " and ".join(sorted(found)) or "another run"


def _holder(client: SyncPrefectClient, name: str) -> str:
    """The run that has a lock; empty while Prefect has not heard of it."""
    page = client.read_events(
        EventFilter(
            event=EventNameFilter(name=[TAKEN]),
            any_resource=EventAnyResourceFilter(id=[f"tenantry.{name}"]),
        ),
        limit=1,
    )
    for event in page.events:
        for resource in event.related:
            if resource.role == "flow-run":
                return f"run '{resource.name}' ({resource.id.removeprefix('prefect.flow-run.')})"
    return ""


def _told(teams: Sequence[str]) -> str:
    """The teams, in words."""
    if len(teams) == 1:
        return told(teams[0])
    if len(teams) <= 3:
        return f"teams {', '.join(teams)}"
    return f"teams {', '.join(teams[:2])} and {len(teams) - 2} more"
