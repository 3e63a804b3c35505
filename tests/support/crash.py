"""Kills a procedure at its requests, lets a new process go on, and checks what is there then.

    driver = Driver(sandbox, procedure, check)
    driver.everywhere()

A procedure is a function that does what a process does: it makes its own connections, and
talks to the sandbox. It begins each time from what the sandbox held when the driver was
made. Whether what is there in the end is right, `check` says, by an AssertionError.
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
    """What the sandbox held at one moment; it can be made to hold it again."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._moved = self._ahead()
        self._held = [json.dumps(system.dump()) for system in self._systems]

    def restore(self) -> None:
        """Makes the sandbox hold it again."""
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
    """Where a run ends: at which of its requests, counted from 1, and when."""

    request: int
    moment: Moment


class Driver:
    """Crashes one procedure.

    Args:
        sandbox: what the procedure talks to.
        procedure: what is crashed, and run again.
        check: whether the sandbox is then as it must be.
        wide: with all worker threads, so that the requests come in no certain order;
            with one if not.
    """

    def __init__(
        self, sandbox: Sandbox, procedure: Procedure, check: Check, *, wide: bool = False
    ) -> None:
        self._start = Snapshot(sandbox)
        self.procedure = procedure
        self.check = check
        self._wide = wide

    def requests(self) -> list[Request]:
        """The requests of a run that nothing befalls; it is checked too."""
        with self.anew(), Wire() as wire:
            self.procedure()
        with no_delays():
            self.check()
        return wire.requests

    def crash(self, *crashes: Crash) -> int:
        """Runs from the start; each run but the last ends in the next of these crashes.

        Returns:
            How many runs were killed: one whose requests are fewer ends by itself.
        """
        killed: list[str] = []
        with self.anew():
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
        """Crashes the procedure once at each of its requests, at each moment.

        Args:
            moments: the moments.
            every: only at every so many-th of the requests; at the last in any case.

        Returns:
            How many crashes there were.
        """
        assert not self._wide, "with many workers no request has a number of its own"
        points = range(len(self.requests()), 0, -every)[::-1]
        for number in points:
            for moment in moments:
                assert self.crash(Crash(number, moment)) == 1
        return len(points) * len(moments)

    def seeded(self, seed: int, runs: int, crashes: int = 1) -> int:
        """Crashes it at random, several times in a row: also the run that goes on.

        Returns:
            How many crashes there were.
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
    def anew(self) -> Iterator[None]:
        """Begin from what the sandbox held at first; nothing waits in this context."""
        self._start.restore()
        with no_delays(), nullcontext() if self._wide else one_worker():
            yield
