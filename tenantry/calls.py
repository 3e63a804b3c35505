"""Rules for all calls to the systems: retries, time-outs, concurrency, and the clock."""

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
    """Log why a call is repeated, and when. The hook of stamina does not log the reason."""
    cause = str(details.caused_by).rstrip(".")
    _LOG.info("%s. The call is repeated in %.1f s.", cause, details.wait_for)


set_on_retry_hooks([_report_retry])

T = TypeVar("T")
A = TypeVar("A")

TIMEOUT = 30.0
"""The time-out of one call, in seconds."""
MAX_SILENCE = 1.5 * TIMEOUT
"""The seconds without any answer after which the circuit breaker opens: two time-outs."""
RETRY_AFTER = TIMEOUT
"""The seconds after which a call to a silent system is made again."""
MAX_CONCURRENT_CALLS = 16
"""The maximum number of concurrent calls. Measured: more gain nothing against a server on two
cores."""
MAX_SINGLE_READS = 4
"""Up to this number, resources are read one by one. For more, one list of all resources is
cheaper."""
RETRYABLE_STATUSES = frozenset({408, 425, 429, 502, 503, 504})
"""The statuses that mean "try again later" for any call. So do all others from 500 on."""
_LONGEST_WAIT = 30.0
"""The total seconds that one read waits between its attempts."""
_slots = threading.BoundedSemaphore(MAX_CONCURRENT_CALLS)
_thread = threading.local()


Clock = Callable[[], datetime]
"""Returns the current time, with the time zone UTC."""


def utc_now() -> datetime:
    """Return the current time of the machine."""
    return datetime.now(UTC)


def is_temporary(status: int) -> bool:
    """Return whether a call that was answered with a status may succeed later."""
    return status in RETRYABLE_STATUSES or status >= 500


def retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None if it is missing, or is a date."""
    return float(header) if header and re.fullmatch("[0-9]{1,9}", header) else None


def retry_read(call: Callable[[], T]) -> T:
    """Make a call that only reads, up to four times while the failure is temporary, and return its
    result.

    The delays are 0.2, 0.4 and 0.8 seconds with jitter, or the Retry-After of the system. If the
    system asks for more than the rest of 30 seconds, the call fails at once, so that one answer
    cannot delay a run. Each delay is logged with its reason. Writes are never repeated here: a task
    observes again first.

    Raises:
        SystemUnavailable: the last failure.
    """
    left = _LONGEST_WAIT

    def delay(error: Exception) -> bool | float:
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
        on=delay, attempts=4, timeout=None, wait_initial=0.2, wait_jitter=0.2, wait_max=5
    ):
        with attempt:
            return call()
    raise AssertionError("unreachable: the last attempt returns or raises")


class CircuitBreaker:
    """A limit on the time that calls wait for a system that accepts connections and does not
    answer.

    A call that times out costs TIMEOUT seconds, and a run makes many calls. So if a system has not
    answered for MAX_SILENCE seconds, calls to it fail at once. One call is made every RETRY_AFTER
    seconds, and any answer closes the circuit again. Safe to use from many threads.
    """

    def __init__(self, system: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._system = system
        self._clock = clock
        self._lock = threading.Lock()
        self._silent_since: float | None = None
        self._next_try = 0.0

    @contextmanager
    def guard(self, call: str) -> Iterator[None]:
        """Make a call in this context, and record whether the system answers.

        Raises:
            SystemUnavailable: the system has been silent for too long. The call is not made.
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
    """Call a function for each item, concurrently, and return the results in the order of the
    items.

    At most MAX_CONCURRENT_CALLS run in this process, also if several threads map at the same time.
    """
    items = list(items)
    if len(items) < 2:
        return [work(item) for item in items]

    has_slot = getattr(_thread, "has_slot", False)

    def in_slot(item: A) -> T:
        if has_slot:  # nested work must not wait for a slot that its own caller holds
            return work(item)
        with _slots:
            _thread.has_slot = True
            try:
                return work(item)
            finally:
                _thread.has_slot = False

    with ThreadPoolExecutor(min(MAX_CONCURRENT_CALLS, len(items))) as pool:
        return list(pool.map(in_slot, items))
