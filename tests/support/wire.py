"""Intercepts all HTTP requests of this process.

The sandbox's controls inject faults into a system. This module injects faults into the process that
calls it, and into the network between them.
"""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Literal, Self
from unittest import mock
from urllib.parse import urljoin, urlsplit

import httpx
import stamina
import urllib3
from urllib3.connectionpool import HTTPConnectionPool

from tenantry import calls

Moment = Literal["before", "after"]
"""Before a request is sent, or after it is done and its answer is lost."""


@dataclass(frozen=True)
class Request:
    """One request: its number, from 1, and the errors of its client if no answer arrives."""

    number: int
    method: str
    url: str
    timed_out: Callable[[], Exception]
    unreachable: Callable[[], Exception]

    @property
    def is_write(self) -> bool:
        """Whether it changes a system. A login, or the test of a secret, is not a write."""
        logs_in = urlsplit(self.url).path.endswith(("/token", "/c/login"))
        return self.method not in ("GET", "HEAD") and not logs_in

    @property
    def system(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        return f"request {self.number}, {self.method} {urlsplit(self.url).path}"


Send = Callable[[], Any]
Handle = Callable[[Request, Send], Any]
"""Handles a request: sends it and returns the answer, or raises."""


class Wire:
    """Passes each request of this process to a function while the context lasts.

    Attributes:
        requests: All requests so far.
    """

    def __init__(self, handle: Handle = lambda request, send: send()) -> None:
        self.requests: list[Request] = []
        self._handle = handle
        self._lock = threading.Lock()
        self._patches = [
            mock.patch.object(httpx.HTTPTransport, "handle_request", self._through_httpx()),
            # requests, and so python-keycloak, sends through urllib3 too.
            mock.patch.object(HTTPConnectionPool, "urlopen", self._through_urllib3()),
        ]

    def __enter__(self) -> Self:
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for patch in self._patches:
            patch.stop()

    def _through_httpx(self) -> Callable[..., Any]:
        real = httpx.HTTPTransport.handle_request

        def handle(transport: httpx.HTTPTransport, asked: httpx.Request) -> Any:
            return self._pass(
                asked.method,
                str(asked.url),
                lambda: real(transport, asked),
                lambda: httpx.ReadTimeout("The read operation timed out", request=asked),
                lambda: httpx.ConnectError("Connection refused", request=asked),
            )

        return handle

    def _through_urllib3(self) -> Callable[..., Any]:
        real = HTTPConnectionPool.urlopen
        errors = urllib3.exceptions

        def urlopen(pool: Any, method: str, url: str, *more: Any, **options: Any) -> Any:
            return self._pass(
                method,
                urljoin(f"{pool.scheme}://{pool.host}:{pool.port}", url),
                lambda: real(pool, method, url, *more, **options),
                lambda: errors.ReadTimeoutError(pool, url, "Read timed out."),
                lambda: errors.NewConnectionError(pool, "Connection refused"),
            )

        return urlopen

    def _pass(
        self,
        method: str,
        url: str,
        send: Send,
        timed_out: Callable[[], Exception],
        unreachable: Callable[[], Exception],
    ) -> Any:
        with self._lock:
            number = len(self.requests) + 1
            request = Request(number, method, url, timed_out, unreachable)
            self.requests.append(request)
        return self._handle(request, send)


class Killed(BaseException):
    """The end of the process. It is not an Exception, so that no handler treats it as a failure."""


class Kill:
    """Ends the process at one of its requests. Later requests are not sent.

    Attributes:
        at: The request; None until it is reached.
    """

    def __init__(self, number: int, moment: Moment) -> None:
        self.at: Request | None = None
        self._number = number
        self._moment = moment

    def __call__(self, request: Request, send: Send) -> Any:
        """Send a request, or end the process."""
        if self.at is not None:
            raise Killed
        if request.number == self._number:
            self.at = request
            if self._moment == "after":
                _drop(send())
            raise Killed
        answer = send()
        if self.at is not None:  # sent before the process ended: done, but the answer is lost
            _drop(answer)
            raise Killed
        return answer


def _drop(answer: Any) -> None:
    """Close the connection of an answer that is not read."""
    answer.close()


@contextmanager
def no_delays() -> Iterator[None]:
    """Retry as often as usual, but without delays; create clients quickly."""
    with (
        stamina.set_testing(True, attempts=4, cap=True),
        mock.patch("time.sleep", _no_sleep),
        # Each new client reads all certificates, which takes 20 ms; few clients need them.
        mock.patch("ssl.create_default_context", cache(ssl.create_default_context)),
    ):
        yield


def _no_sleep(seconds: float) -> None:
    threading.Event().wait(min(seconds, 0.002))


@contextmanager
def one_worker() -> Iterator[None]:
    """Make one call at a time, so that a procedure always sends its requests in the same order."""
    with mock.patch.object(calls, "MAX_CONCURRENT_CALLS", 1):
        yield
