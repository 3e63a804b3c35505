"""Counts and remembers the requests that the sandbox answered.

A system's app may name the template of the path it served in ``scope["path_template"]``. Where it
does not, the template is derived from the path: what follows ``realms`` or ``namespaces``, numbers
and UUIDs are taken for names.
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
    """What requests are counted by."""

    system: str
    method: str
    template: str

    @property
    def is_write(self) -> bool:
        """Whether such a request changes a system: to log in is not to write."""
        return self.method in WRITES and not self.template.endswith(_LOGINS)


@dataclass(frozen=True)
class Answered:
    """One request, and what was done.

    Attributes:
        status: What was answered, whether it arrived or not; 0: nothing was done nor answered.
        fault: What befell the request, if anything did: a status or a word of
            ``tenantry.sandbox.controls.Fault``.
    """

    system: str
    method: str
    target: str
    status: int
    fault: str = ""


class RequestCounter:
    """Counts the requests to several systems; ``around`` makes it the middleware of one of them."""

    def __init__(self, remembered: int = 50_000) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Counted] = Counter()
        self._log: deque[Answered] = deque(maxlen=remembered)

    def around(self, system: str, app: ASGIApp) -> ASGIApp:
        """Wrap the app of one system."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            answered = False

            async def watching(message: Message) -> None:
                # Counted before the answer leaves: whoever has the answer finds it counted.
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
        """Count a request, and remember it with what befell it (``scope["fault"]``)."""
        method, path = scope["method"], scope["path"]
        query = scope["query_string"].decode("latin-1")
        kind = Counted(system, method, scope.get("path_template") or template_of(path))
        with self._lock:
            self._counts[kind] += 1
            target = f"{path}?{query}" if query else path
            self._log.append(Answered(system, method, target, status, scope.get("fault", "")))

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self._counts.clear()
            self._log.clear()

    def counts(self) -> Counter[Counted]:
        """How many requests of each kind there were."""
        with self._lock:
            return self._counts.copy()

    @property
    def log(self) -> list[Answered]:
        """The last requests, oldest first."""
        with self._lock:
            return list(self._log)

    def total(self, system: str | None = None) -> int:
        """How many requests there were, to one system or to all."""
        return sum(n for kind, n in self.counts().items() if system in (None, kind.system))

    def writes(self, system: str | None = None) -> int:
        """How many of them were writes."""
        counts = self.counts()
        return sum(n for k, n in counts.items() if k.is_write and system in (None, k.system))


def template_of(path: str) -> str:
    """The template of a path, as far as the path alone tells."""
    segments = path.split("/")
    for i, segment in enumerate(segments):
        if i and segments[i - 1] in _NAMED_AFTER and segment:
            segments[i] = _NAMED_AFTER[segments[i - 1]]
        elif _ID.fullmatch(segment):
            segments[i] = "{id}"
    return "/".join(segments)
