"""The locks that procedures get in the tests of the core: each is a `tenantry.locks.Lock`."""

import threading
from collections.abc import Callable

from tenantry.locks import NoLock


class Mutex(NoLock):
    """Excludes other threads of a test, as a team's lock excludes other runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class RecordingLock(NoLock):
    """A lock that records how many requests had been sent when it was taken."""

    def __init__(self, requests: Callable[[], int]) -> None:
        self._requests = requests
        self.taken_after = 0

    def __enter__(self) -> None:
        self.taken_after = self._requests()
