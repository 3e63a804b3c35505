"""Inject each fault into each request of a procedure, and retry the procedure as a task does.

    faults = Faults(sandbox, procedure, check)
    faults.inject("503", request)

Each run of a procedure has new clients, as a process has, and is retried within it, as a task is.
`FAULTS` defines for each fault whether the run must recover from it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tasks.step import DELAYS, RETRIED
from tenantry.errors import TenantryError
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.support.crash import Snapshot
from tests.support.harness import Bench
from tests.support.wire import Handle, Request, Send, Wire, no_delays, one_worker

TRIES = len(DELAYS) + 1
"""The most tries of a task."""
READS = 4
"""The most tries of a read within one try of a task."""


@dataclass(frozen=True)
class Fault:
    """A fault of one request.

    Attributes:
        kind: A status, a kind of the sandbox's controls, or the client's time-out.
        headers: The headers of a status.
        fails: Whether the run must end with an error that names the call. If not, it must recover.
    """

    kind: Any
    headers: dict[str, str] = field(default_factory=dict)
    fails: Callable[[str, Request], bool] = lambda system, request: False


def _kubernetes_write(system: str, request: Request) -> bool:
    return system == "kubernetes" and request.method != "GET"


def _refused_login(system: str, request: Request) -> bool:
    """A session is renewed once; a 401 is final at a login, and for calls without a session."""
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
    """The result of a run.

    Attributes:
        tries: The number of tries.
        made: The requests.
        error: The error of the last try; None if the run recovered.
        errors: The errors of all tries.
    """

    tries: int
    made: list[Request]
    error: TenantryError | None
    errors: list[TenantryError]


class Faults:
    """Injects faults into the requests of one procedure, which runs with one worker thread."""

    def __init__(
        self,
        bench: Bench,
        procedure: Callable[[Systems], object],
        check: Callable[[], None],
        is_read_again: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        """Take a snapshot of the bench, from which each run starts.

        Args:
            bench: The bench.
            procedure: The procedure.
            check: Asserts that the final state of the sandbox is right, after the run or the next.
            is_read_again: Whether the procedure repeats this read by design, so that a refusal of
                the first read does not end the run.
        """
        self._bench = bench
        self._is_read_again = is_read_again
        self._sandbox: Sandbox = bench.sandbox
        self._start = Snapshot(bench.sandbox)
        self._procedure = procedure
        self._check = check

    def requests(self) -> list[Request]:
        """Return the requests of a run without a fault."""
        with self._from_start(), Wire() as wire:
            assert self._run().error is None
        return wire.requests

    def system(self, request: Request) -> str:
        """Return the system that a request is sent to."""
        sandbox = self._sandbox
        urls = {
            "harbor": sandbox.harbor.ext_endpoint,
            "keycloak": sandbox.keycloak.url,
            "kubernetes": sandbox.kubernetes.url,
        }
        return next(name for name, url in urls.items() if urlsplit(url).netloc == request.system)

    def inject(self, name: str, request: Request) -> Run:
        """Inject a fault into one request of a run, and return the run.

        If the run fails, the next one must complete.

        Raises:
            AssertionError: The run did not end as `FAULTS` defines, or the final state is wrong.
        """
        fault = FAULTS[name]
        try:
            with self._from_start():
                run = self._run_with(fault, request)
                self._judge(run, fault, request)
                if run.error is not None:
                    assert self._run().error is None, "the next run does not complete"
                self._check()
        except Exception as error:
            error.add_note(f"{self.system(request)}, {request}: {name}")
            raise
        return run

    def take_down(self, fault: Any, system: Any, at: int = 1) -> Run:
        """Return a run in which all requests to a system fail, from the one with number `at` on."""
        with self._from_start():
            self._sandbox.controls.fail(fault, system=system, at=at, times=None)
            try:
                return self._run()
            finally:
                self._sandbox.controls.clear()

    def _run_with(self, fault: Fault, request: Request) -> Run:
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
            assert run.error is not None, "a permanent fault must end the run"
        elif run.error is not None:
            raise run.error
        assert run.tries <= 2, "one fault may cost one more try"
        for error in run.errors:
            text = str(error)
            path = urlsplit(request.url).path.replace("/protocol/openid-connect/token", "/…/token")
            assert path in text or "session ended" in text, text
            assert "Traceback" not in text
            assert text.startswith(self.system(request).capitalize()), text

    def _run(self, handle: Handle = lambda request, send: send()) -> Run:
        """Run the procedure as a task does: retry it after a transient error."""
        errors: list[TenantryError] = []
        tries = 0
        with self._bench.process() as systems, Wire(handle) as wire:
            while True:
                tries += 1
                try:
                    self._procedure(systems)
                except TenantryError as error:
                    errors.append(error)
                    if isinstance(error, RETRIED) and tries < TRIES:
                        continue
                    return Run(tries, wire.requests, error, errors)
                return Run(tries, wire.requests, None, errors)

    @contextmanager
    def _from_start(self) -> Iterator[None]:
        self._start.restore()
        with no_delays(), one_worker():
            yield
