"""Counts and logs the requests to the sandbox.

The app of a system may set ``scope["path_template"]`` to the template of the path. Otherwise the
template is derived from the path: segments after ``realms`` or ``namespaces``, numbers and UUIDs
become placeholders.
"""

import re
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LOGINS = ("/c/login", "/protocol/openid-connect/token")
_NAMED_AFTER = {"realms": "{realm}", "namespaces": "{namespace}"}
_ID = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Counted(NamedTuple):
    """The key by which requests are counted."""

    system: str
    method: str
    template: str

    @property
    def is_write(self) -> bool:
        """Whether such a request changes a system. A login does not count as a write."""
        return self.method in WRITES and not self.template.endswith(_LOGINS)


@dataclass(frozen=True)
class Answered:
    """One request and its outcome.

    Attributes:
        status: The status of the answer, even if the answer was lost; 0 if the system did not
            process the request.
        fault: The injected fault, a status or a name from ``tenantry.sandbox.faults.Fault``; empty
            if none was injected.
    """

    system: str
    method: str
    target: str
    status: int
    fault: str = ""


class RequestCounter:
    """A counter for the requests to several systems; ``wrap`` adds it to the app of a system."""

    def __init__(self, log_size: int = 50_000) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Counted] = Counter()
        self._log: deque[Answered] = deque(maxlen=log_size)

    def wrap(self, system: str, app: ASGIApp) -> ASGIApp:
        """Return an app that counts the requests to `app`."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            answered = False

            async def watching(message: Message) -> None:
                # Count before the answer is sent, so that a client that has it finds it counted.
                nonlocal answered
                if message["type"] == "http.response.start":
                    answered = True
                    self.count(system, scope, message["status"])
                await send(message)

            try:
                await app(scope, receive, watching)
            finally:
                if not answered:
                    self.count(system, scope, 0)

        return counting

    def count(self, system: str, scope: Scope, status: int) -> None:
        """Count and log a request, with the injected fault in ``scope["fault"]``."""
        method, path = scope["method"], scope["path"]
        query = scope["query_string"].decode("latin-1")
        kind = Counted(system, method, scope.get("path_template") or template_of(path))
        with self._lock:
            self._counts[kind] += 1
            target = f"{path}?{query}" if query else path
            self._log.append(Answered(system, method, target, status, scope.get("fault", "")))

    def reset(self) -> None:
        """Reset all counts and the log."""
        with self._lock:
            self._counts.clear()
            self._log.clear()

    def counts(self) -> Counter[Counted]:
        """Return the number of requests by system, method and template."""
        with self._lock:
            return self._counts.copy()

    @property
    def log(self) -> list[Answered]:
        """The latest requests, oldest first."""
        with self._lock:
            return list(self._log)

    def total(self, system: str | None = None) -> int:
        """Return the number of requests to one system or to all."""
        return sum(n for kind, n in self.counts().items() if system in (None, kind.system))

    def writes(self, system: str | None = None) -> int:
        """Return the number of write requests to one system or to all."""
        counts = self.counts()
        return sum(n for k, n in counts.items() if k.is_write and system in (None, k.system))


def template_of(path: str) -> str:
    """Return the template of a path, derived from the path alone."""
    segments = path.split("/")
    for i, segment in enumerate(segments):
        if i and segments[i - 1] in _NAMED_AFTER and segment:
            segments[i] = _NAMED_AFTER[segments[i - 1]]
        elif _ID.fullmatch(segment):
            segments[i] = "{id}"
    return "/".join(segments)
