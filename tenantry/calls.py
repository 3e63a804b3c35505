"""What all calls to the systems have in common: when to try again, how wide to fan out, the time."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from tenantry.errors import SystemUnavailable, TimedOut
from tenantry.text import logger

_LOG = logger(__name__)


def _report_retry(details: RetryDetails) -> None:
    """Log why a call is repeated, and when. The library's own hook does not log the reason."""
    cause = str(details.caused_by).rstrip(".")
    _LOG.info("%s. The call is repeated in %.1f s.", cause, details.wait_for)


set_on_retry_hooks([_report_retry])

T = TypeVar("T")
A = TypeVar("A")

TIMEOUT = 30.0
"""Seconds that one call may take."""
MAX_SILENCE = 1.5 * TIMEOUT
"""Seconds without any answer after which calls no longer wait for a system: two time-outs."""
RETRY_AFTER = TIMEOUT
"""Seconds after which a silent system is tried again."""
MAX_CONCURRENT_CALLS = 16
"""Calls under way at once. Measured: wider gains nothing against a server on two cores."""
MAX_SINGLE_READS = 4
"""Up to so many things are looked up one by one; more are cheaper in a list of them all."""
RETRYABLE_STATUSES = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say "later", whatever was asked."""
_LONGEST_WAIT = 30.0
"""Seconds that one read waits in all. A system that asks for more is left to the next run."""
_under_way = threading.BoundedSemaphore(MAX_CONCURRENT_CALLS)
_here = threading.local()


Clock = Callable[[], datetime]
"""Tells the time, aware and in UTC."""


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def is_temporary(status: int) -> bool:
    """Return whether a call that was answered with a status may succeed later."""
    return status in RETRYABLE_STATUSES or status >= 500


def retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None if there is none, or if it names a date."""
    return float(header) if header and re.fullmatch("[0-9]{1,9}", header) else None


def retry_read(call: Callable[[], T]) -> T:
    """Makes a call that changes nothing, up to four times while the failure may pass.

    It waits 0.2, 0.4 and 0.8 seconds (with jitter), or as long as the system asked for. If the
    system asks for more than what is left of 30 seconds, the call fails at once: one answer must
    not be able to hold up a run. Each wait is logged with its reason. Writes are never repeated
    here: a task looks again first.

    Raises:
        SystemUnavailable: the last failure.
    """
    left = _LONGEST_WAIT

    def again(error: Exception) -> bool | float:
        nonlocal left
        if not isinstance(error, SystemUnavailable):
            return False
        if error.retry_after is None:
            return True
        if error.retry_after > left:
            _LOG.warning(
                "%s. The call is not repeated in this run: the system asks to wait %.0f s, and a "
                "call waits for %.0f s at most.",
                str(error).rstrip("."),
                error.retry_after,
                _LONGEST_WAIT,
            )
            return False
        left -= error.retry_after
        return error.retry_after

    for attempt in stamina.retry_context(
        on=again, attempts=4, timeout=None, wait_initial=0.2, wait_jitter=0.2, wait_max=5
    ):
        with attempt:
            return call()
    raise AssertionError("unreachable: the last attempt returns or raises")


class CircuitBreaker:
    """Limits how long calls wait for a system that accepts connections and does not answer.

    A call that times out costs TIMEOUT seconds, and a run makes many. So once a system has
    not answered for MAX_SILENCE seconds, calls to it fail at once; every RETRY_AFTER
    seconds one is let through, and any answer ends the silence. Safe to use from many threads.
    """

    def __init__(self, system: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._system = system
        self._clock = clock
        self._lock = threading.Lock()
        self._silent_since: float | None = None
        self._next_try = 0.0

    @contextmanager
    def guard(self, call: str) -> Iterator[None]:
        """Wait for an answer to a call.

        Raises:
            SystemUnavailable: the system has been silent for too long, and the call is not made.
        """
        began = self._clock()
        self._check(call, began)
        try:
            yield
        except TimedOut:
            with self._lock:
                if self._silent_since is None:
                    self._silent_since = began
                self._next_try = self._clock() + RETRY_AFTER
            raise
        except Exception:
            self._silent_since = None
            raise
        self._silent_since = None

    def _check(self, call: str, now: float) -> None:
        with self._lock:
            since = self._silent_since
            if since is None or now - since < MAX_SILENCE:
                return
            if now >= self._next_try:
                self._next_try = now + RETRY_AFTER
                return
        raise SystemUnavailable(
            self._system,
            call,
            f"it accepts connections and has not answered for {now - since:.0f} s, so Tenantry "
            "does not wait for it any longer",
        )


def map_concurrently(work: Callable[[A], T], items: Iterable[A]) -> list[T]:
    """Does the work for every item, and gives the results in the items' order.

    MAX_CONCURRENT_CALLS at once, also where several threads of this process fan out at the same time.
    """
    items = list(items)
    if len(items) < 2:
        return [work(item) for item in items]

    inside = getattr(_here, "admitted", False)

    def admitted(item: A) -> T:
        if inside:  # work that fans out itself must not wait for its own end
            return work(item)
        with _under_way:
            _here.admitted = True
            try:
                return work(item)
            finally:
                _here.admitted = False

    with ThreadPoolExecutor(min(MAX_CONCURRENT_CALLS, len(items))) as pool:
        return list(pool.map(admitted, items))
