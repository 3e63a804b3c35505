"""Runs several procedures concurrently, one request at a time, in a given order.

    errors = Interleaving(choose).run({"a": procedure, "b": procedure})

Each procedure has its own thread, which stops before each request and where it waits for a lock.
Then `choose` selects the thread that continues. The same choices give the same order, so hypothesis
can search for the shortest order that fails.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from unittest import mock

from tenantry import calls
from tests.support.wire import Request, Send, Wire, no_delays, one_worker

Choose = Callable[[int], int]
"""Given how many threads can continue, returns the index of the one that does."""


@dataclass
class _Actor:
    name: str
    may_go: Callable[[], bool] = lambda: True
    is_waiting: bool = False
    is_done: bool = False
    error: BaseException | None = None
    turn: threading.Event = field(default_factory=threading.Event)


class Interleaving:
    """Concurrent procedures.

    Attributes:
        order: The names of the procedures, in the order in which they continued.
        holders: The name of the procedure that holds each lock.
    """

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._here = threading.local()
        self._changed = threading.Condition()
        self.order: list[str] = []
        self.holders: dict[str, str] = {}

    def run(self, procedures: Mapping[str, Callable[[], object]]) -> dict[str, BaseException]:
        """Run all procedures to their ends, and return the errors by procedure."""
        actors = [_Actor(name) for name in procedures]
        with no_delays(), one_worker(), in_calling_thread(), Wire(self._handle):
            threads = [
                threading.Thread(target=self._act, args=(actor, work), daemon=True)
                for actor, work in zip(actors, procedures.values(), strict=True)
            ]
            for thread in threads:
                thread.start()
            while self._go_on(actors):
                pass
            for thread in threads:
                thread.join()
        return {actor.name: actor.error for actor in actors if actor.error is not None}

    def step(self, may_go: Callable[[], bool] = lambda: True) -> None:
        """Stop the calling procedure until `choose` selects it, and `may_go()` is true."""
        actor: _Actor | None = getattr(self._here, "actor", None)
        if actor is None:
            return
        with self._changed:
            actor.may_go, actor.is_waiting = may_go, True
            self._changed.notify_all()
        actor.turn.wait()
        actor.turn.clear()

    def lock(self, teams: Collection[str]) -> "FairLock":
        """Return a lock on these teams, a `tenantry.locks.Lock`."""
        return FairLock(self, teams)

    @property
    def me(self) -> str:
        """The name of the calling procedure."""
        return str(self._here.actor.name)

    def _act(self, actor: _Actor, work: Callable[[], object]) -> None:
        self._here.actor = actor
        try:
            self.step()
            work()
        except BaseException as error:  # noqa: BLE001 the caller judges it
            actor.error = error
        finally:
            with self._changed:
                actor.is_done = True
                self._changed.notify_all()

    def _go_on(self, actors: Sequence[_Actor]) -> bool:
        """Let one procedure continue to its next stop. Return false if all have ended."""
        with self._changed:
            settled = self._changed.wait_for(
                lambda: all(actor.is_waiting or actor.is_done for actor in actors), 60
            )
            assert settled, "a procedure neither sends a request nor ends"
            waiting = [actor for actor in actors if not actor.is_done]
            able = [actor for actor in waiting if actor.may_go()]
            if not waiting:
                return False
            assert able, f"{[actor.name for actor in waiting]} wait for each other"
            chosen = able[self._choose(len(able))] if len(able) > 1 else able[0]
            chosen.is_waiting = False
            self.order.append(chosen.name)
            chosen.turn.set()
        return True

    def _handle(self, request: Request, send: Send) -> Any:
        self.step()
        return send()


class FairLock:
    """A lock on several teams: all of them at once, or none."""

    def __init__(self, interleaving: Interleaving, teams: Collection[str]) -> None:
        self._interleaving = interleaving
        self._teams = list(teams)

    def __enter__(self) -> Self:
        holders = self._interleaving.holders
        self._interleaving.step(lambda: not any(team in holders for team in self._teams))
        holders.update(dict.fromkeys(self._teams, self._interleaving.me))
        return self

    def __exit__(self, *raised: object) -> None:
        for team in self._teams:
            del self._interleaving.holders[team]

    def hold(self) -> None:
        """Do nothing: this lock is never lost."""

    def check(self) -> None:
        """Do nothing: this lock is never lost."""


class _InLine:
    """A thread pool without threads: the caller does the work."""

    def __init__(self, width: int) -> None:
        assert width == 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None: ...

    def map(self, work: Callable[[Any], Any], items: Collection[Any]) -> Iterator[Any]:
        return map(work, items)


@contextmanager
def in_calling_thread() -> Iterator[None]:
    """Make the concurrent calls of the core one after the other, in the thread of the caller."""
    assert calls.ThreadPoolExecutor is ThreadPoolExecutor  # type: ignore[attr-defined]
    with mock.patch.object(calls, "ThreadPoolExecutor", _InLine):
        yield
