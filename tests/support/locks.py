"""The locks that the tests of the core give to procedures, as `tenantry.locks.Lock` has them."""

import threading
from collections.abc import Callable


class Alone:
    """The lock where nobody else is at work."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def check(self) -> None:
        """It is never lost."""


class Mutex(Alone):
    """Keeps the threads of a test apart, as a team's lock keeps runs apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Noted(Alone):
    """A lock that notes after how many requests it was taken."""

    def __init__(self, requests: Callable[[], int]) -> None:
        self._requests = requests
        self.taken_after = 0

    def __enter__(self) -> None:
        self.taken_after = self._requests()
