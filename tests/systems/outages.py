"""Takes a part of Harbor down while a procedure runs, and retries the procedure as a task does.

    outages = Outages(bench.sandbox, driver)
    outages.inject("database", first=7, length=20)

An outage begins at one of the procedure's requests and ends some requests later. Requests of failed
tries count, so nothing waits.
"""

from typing import Any, Literal

from tenantry.errors import TenantryError
from tenantry.sandbox import Sandbox
from tests.support.crash import Driver
from tests.support.wire import Request, Send, Wire

Outage = Literal["core", "database", "sessions"]
OUTAGES: tuple[Outage, ...] = ("core", "database", "sessions")
"""Harbor's core is killed and restarted; its database is down; its Redis is flushed."""


class Outages:
    """Interrupts a driver's procedure with outages of the sandbox's Harbor."""

    def __init__(self, sandbox: Sandbox, driver: Driver) -> None:
        self._controls = sandbox.controls
        self._driver = driver

    def inject(self, outage: Outage, first: int, length: int) -> int:
        """Run the procedure with one outage, and check the final state.

        Args:
            outage: The part that is down.
            first: The number of the request, from 1, at which the outage begins.
            length: The number of requests that it lasts.

        Returns:
            The number of tries.

        Raises:
            AssertionError: The procedure fails after the outage, or the final state is wrong.
        """

        def handle(request: Request, send: Send) -> Any:
            if request.number == first:
                if outage == "sessions":
                    self._controls.end_sessions()
                else:
                    self._controls.take_down(outage)
            elif request.number == first + length:
                self._controls.take_down()
            return send()

        try:
            with self._driver.from_start():
                tries = self._tried(Wire(handle), length)
                self._controls.take_down()
                self._driver.check()
        except Exception as error:
            error.add_note(f"{outage} is down from request {first} on, for {length} requests")
            raise
        finally:
            self._controls.take_down()
        return tries

    def _tried(self, wire: Wire, length: int) -> int:
        with wire:
            for number in range(1, length + 3):
                try:
                    self._driver.procedure()
                except TenantryError as error:
                    failure = error
                else:
                    return number
        raise AssertionError(f"it still fails after the outage: {failure}") from failure
