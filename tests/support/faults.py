"""Makes each request of a procedure fail in each way, and lets a task's retries go on.

    faults = Faults(sandbox, procedure, check)
    faults.strike(FAULTS["reset"], request=7)

A procedure is given the systems' clients anew for each run, as a process has them, and is tried
again within it, as a task is. What becomes of each fault is a rule, and the rule is in `FAULTS`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tasks.step import DELAYS, RETRIED
from tenantry.errors import TenantryError
from tenantry.sandbox import Sandbox
from tenantry.systems import Systems
from tests.support.crash import Snapshot
from tests.support.harness import Bench
from tests.support.wire import Handle, Request, Send, Wire, no_delays, one_worker

TRIES = len(DELAYS) + 1
"""How often a task is tried at most."""
READS = 4
"""How often a read is made at most within one try."""


@dataclass(frozen=True)
class Fault:
    """What befalls one request, and where it may not be recovered from.

    Attributes:
        kind: a status, a kind of the sandbox's controls, or the client's time-out.
        headers: the headers of a status.
        fails: whether a run must end with an error that names the call; it must recover if not.
    """

    kind: Any
    headers: dict[str, str] = field(default_factory=dict)
    fails: Callable[[str, Request], bool] = lambda system, request: False


def _kubernetes_write(system: str, request: Request) -> bool:
    return system == "kubernetes" and request.method != "GET"


def _refused_login(system: str, request: Request) -> bool:
    """A session is renewed once; what is told 401 at the login itself, or has no session, is not."""
    if system == "keycloak":
        return request.method == "POST" and urlsplit(request.url).path.endswith("/token")
    return system == "kubernetes"


FAULTS: dict[str, Fault] = {
    "no answer in time, nothing done": Fault("timed out before"),
    "no answer in time, all done": Fault("timed out after"),
    "connection reset, nothing done": Fault("reset"),
    "connection reset, all done": Fault("lost"),
    # A write that Kubernetes answers 500 to would be answered so again (a custom resource with a
    # wrong field is), so it is a refusal.
    "500": Fault(500, fails=_kubernetes_write),
    "503": Fault(503),
    "429 with Retry-After": Fault(429, {"Retry-After": "1"}),
    "401 once": Fault(401, fails=_refused_login),
    "half a body": Fault("truncated"),
    "connection ends within the body": Fault("cut"),
    "a page of HTML instead of JSON": Fault("not-json"),
}


class Run(NamedTuple):
    """What became of a run.

    Attributes:
        tries: how often the procedure was tried.
        made: the requests.
        error: what it ended with, if it did not recover.
        told: what failed on the way.
    """

    tries: int
    made: list[Request]
    error: TenantryError | None
    told: list[TenantryError]


class Faults:
    """Strikes the requests of one procedure, counted from 1 with one worker thread."""

    def __init__(
        self,
        bench: Bench,
        procedure: Callable[[Systems], object],
        check: Callable[[], None],
        is_read_again: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        """Prepare to strike a procedure's requests.

        Args:
            bench: the bench.
            procedure: what is run.
            check: asserts that the sandbox is as it must be after the run, or the one that follows.
            is_read_again: whether the procedure makes this read a second time by design, so that a
                refusal of the first does not end it.
        """
        self._bench = bench
        self._is_read_again = is_read_again
        self._sandbox: Sandbox = bench.sandbox
        self._start = Snapshot(bench.sandbox)
        self._procedure = procedure
        self._check = check

    def requests(self) -> list[Request]:
        """The requests of a run that nothing befalls."""
        with self._anew(), Wire() as wire:
            assert self._run().error is None
        return wire.requests

    def system(self, request: Request) -> str:
        """Which system a request goes to."""
        sandbox = self._sandbox
        urls = {
            "harbor": sandbox.harbor.ext_endpoint,
            "keycloak": sandbox.keycloak.url,
            "kubernetes": sandbox.kubernetes.url,
        }
        return next(name for name, url in urls.items() if urlsplit(url).netloc == request.system)

    def strike(self, name: str, request: Request) -> Run:
        """A run in which one request is struck; the next, which nothing befalls, is as it must be.

        Raises:
            AssertionError: it did not end as `FAULTS` says.
        """
        fault = FAULTS[name]
        try:
            with self._anew():
                run = self._struck(fault, request)
                self._judge(run, fault, request)
                if run.error is not None:
                    assert self._run().error is None, "the next run does not finish the rest"
                self._check()
        except Exception as error:
            error.add_note(f"{self.system(request)}, {request}: {name}")
            raise
        return run

    def dead(self, fault: Any, system: Any, at: int = 1) -> Run:
        """A run to whose system no request comes through any more, from one on."""
        with self._anew():
            self._sandbox.controls.fail(fault, system=system, at=at, times=None)
            try:
                return self._run()
            finally:
                self._sandbox.controls.clear()

    def _struck(self, fault: Fault, request: Request) -> Run:
        sent = 0

        def handle(asked: Request, send: Send) -> Any:
            nonlocal sent
            if asked.number != request.number:
                return send()
            sent += 1
            match fault.kind:
                case "timed out before":
                    raise asked.timed_out()
                case "timed out after":
                    send().close()
                    raise asked.timed_out()
                case kind:
                    self._sandbox.controls.fail(kind, headers=fault.headers or None)
                    return send()

        run = self._run(handle)
        self._sandbox.controls.clear()
        assert sent == 1
        return run

    def _judge(self, run: Run, fault: Fault, request: Request) -> None:
        refused = fault.fails(self.system(request), request)
        if refused and not self._is_read_again(request):
            assert run.error is not None, "it must not be taken for what may pass"
        elif run.error is not None:
            raise run.error
        assert run.tries <= 2, "one fault costs one more try at most"
        for error in run.told:
            text = str(error)
            path = urlsplit(request.url).path.replace("/protocol/openid-connect/token", "/…/token")
            assert path in text or "session ended" in text, text
            assert "Traceback" not in text
            assert text.startswith(self.system(request).capitalize()), text

    def _run(self, handle: Handle = lambda request, send: send()) -> Run:
        """The procedure as a task does it: tried again after what may pass."""
        told: list[TenantryError] = []
        tries = 0
        with self._bench.process() as systems, Wire(handle) as wire:
            while True:
                tries += 1
                try:
                    self._procedure(systems)
                except TenantryError as error:
                    told.append(error)
                    if isinstance(error, RETRIED) and tries < TRIES:
                        continue
                    return Run(tries, wire.requests, error, told)
                return Run(tries, wire.requests, None, told)

    @contextmanager
    def _anew(self) -> Iterator[None]:
        self._start.restore()
        with no_delays(), one_worker():
            yield
