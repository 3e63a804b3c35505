"""Kill a procedure at its requests, run it again, and check the result.

    driver = Driver(sandbox, procedure, check)
    driver.everywhere()

A procedure is a function that does what a process does: it opens its own connections and calls
the sandbox. Each time it starts from the state that the sandbox had when the driver was created.
`check` raises an AssertionError if the final state is wrong.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tenantry.sandbox import Sandbox
from tenantry.sandbox.server import System
from tests.support.wire import Kill, Killed, Moment, Request, Wire, no_delays, one_worker

Procedure = Callable[[], object]
Check = Callable[[], None]

MOMENTS: tuple[Moment, ...] = ("before", "after")


class Snapshot:
    """The state of a sandbox at one moment, which can be restored."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._moved = self._ahead()
        self._held = [json.dumps(system.dump()) for system in self._systems]

    def restore(self) -> None:
        """Restore the state."""
        for system, held in zip(self._systems, self._held, strict=True):
            system.load(json.loads(held))
        self._sandbox.clock.move((self._moved - self._ahead()).total_seconds())
        self._sandbox.requests.reset()

    @property
    def _systems(self) -> tuple[System, ...]:
        return self._sandbox.harbor, self._sandbox.keycloak, self._sandbox.kubernetes

    def _ahead(self) -> timedelta:
        return self._sandbox.clock.now() - datetime.now(UTC)


class Crash(NamedTuple):
    """The point at which a run is killed: before or after a request, numbered from 1."""

    request: int
    moment: Moment


class Driver:
    """Crashes one procedure.

    Args:
        sandbox: The sandbox that the procedure calls.
        procedure: The procedure.
        check: Asserts that the final state of the sandbox is right.
        wide: Whether to use all worker threads, so that the order of requests varies. One if not.
    """

    def __init__(
        self, sandbox: Sandbox, procedure: Procedure, check: Check, *, wide: bool = False
    ) -> None:
        self._start = Snapshot(sandbox)
        self.procedure = procedure
        self.check = check
        self._wide = wide

    def requests(self) -> list[Request]:
        """Return the requests of a run without a fault; its result is checked too."""
        with self.from_start(), Wire() as wire:
            self.procedure()
        with no_delays():
            self.check()
        return wire.requests

    def crash(self, *crashes: Crash) -> int:
        """Run the procedure once for each of these crashes, and once more without one.

        Returns:
            How many runs were killed. A run with fewer requests ends by itself.
        """
        killed: list[str] = []
        with self.from_start():
            try:
                for crash in crashes:
                    killed += self._killed(crash)
                self.procedure()
                self.check()
            except Exception as error:
                error.add_note(f"killed {', then '.join(killed) or 'nowhere'}")
                raise
        return len(killed)

    def everywhere(self, moments: Sequence[Moment] = MOMENTS, every: int = 1) -> int:
        """Crash the procedure once at each of its requests, before and after it.

        Args:
            moments: The moments.
            every: Crash at each n-th request only, and at the last one.

        Returns:
            The number of crashes.
        """
        assert not self._wide, "with many workers the number of a request varies"
        points = range(len(self.requests()), 0, -every)[::-1]
        for number in points:
            for moment in moments:
                assert self.crash(Crash(number, moment)) == 1
        return len(points) * len(moments)

    def seeded(self, seed: int, runs: int, crashes: int = 1) -> int:
        """Crash it at random requests, several times in a row: the next run is crashed too.

        Returns:
            The number of crashes.
        """
        choose = random.Random(seed)
        last = len(self.requests())
        return sum(
            self.crash(
                *(Crash(choose.randint(1, last), choose.choice(MOMENTS)) for _ in range(crashes))
            )
            for _ in range(runs)
        )

    def _killed(self, crash: Crash) -> Iterator[str]:
        kill = Kill(crash.request, crash.moment)
        try:
            with Wire(kill):
                self.procedure()
        except Killed:
            yield f"{crash.moment} {kill.at}"

    @contextmanager
    def from_start(self) -> Iterator[None]:
        """Start from the initial state; retries do not wait in this context."""
        self._start.restore()
        with no_delays(), nullcontext() if self._wide else one_worker():
            yield
