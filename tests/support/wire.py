"""All HTTP requests of this process, to be watched and to be meddled with where they leave it.

The sandbox's controls make a system fail; this makes the process fail that talks to it, and the
network between them.
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
"""Before a request was sent, or after it was done, with its answer lost."""


@dataclass(frozen=True)
class Request:
    """One request, counted from 1, and how its client calls an answer that does not come."""

    number: int
    method: str
    url: str
    timed_out: Callable[[], Exception]
    unreachable: Callable[[], Exception]

    @property
    def is_write(self) -> bool:
        """Whether it changes a system: to log in, or to try a secret, is not to write."""
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
"""Decides what becomes of a request: sends it and gives the answer, or raises."""


class Wire:
    """What every request of this process goes through while the context lasts.

    Attributes:
        requests: those that were to be sent so far.
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
    """The end of a process. No handler may take it for a failure: it is no Exception."""


class Kill:
    """Ends the process at one of its requests: from then on nothing gets through.

    Attributes:
        at: the request, or None while it has not been reached.
    """

    def __init__(self, number: int, moment: Moment) -> None:
        self.at: Request | None = None
        self._number = number
        self._moment = moment

    def __call__(self, request: Request, send: Send) -> Any:
        """Lets a request through, or ends the process."""
        if self.at is not None:
            raise Killed
        if request.number == self._number:
            self.at = request
            if self._moment == "after":
                _drop(send())
            raise Killed
        answer = send()
        if self.at is not None:  # on its way when the process ended: done, and nobody knows
            _drop(answer)
            raise Killed
        return answer


def _drop(answer: Any) -> None:
    """Closes an answer's connection, which nobody reads any more."""
    answer.close()


@contextmanager
def no_delays() -> Iterator[None]:
    """Everything is repeated as often as ever, at once; and clients are made quickly."""
    with (
        stamina.set_testing(True, attempts=4, cap=True),
        mock.patch("time.sleep", _no_sleep),
        # A client reads all certificates when it is created, 20 ms long; few clients need them.
        mock.patch("ssl.create_default_context", cache(ssl.create_default_context)),
    ):
        yield


def _no_sleep(seconds: float) -> None:
    threading.Event().wait(min(seconds, 0.002))


@contextmanager
def one_worker() -> Iterator[None]:
    """One call at a time, so that the same procedure makes the same requests in the same order."""
    with mock.patch.object(calls, "WIDTH", 1):
        yield
