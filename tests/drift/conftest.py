"""Fixtures: a team with all declarable resources, onboarded on the sandbox."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import stamina

from tests.drift.watch import Watched
from tests.support.crash import Snapshot
from tests.support.harness import FaultySandbox, prepare


@pytest.fixture(scope="session")
def _onboarded(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Watched, Snapshot]]:
    """Onboard the teams once, and return them with the state of the systems."""
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        sandbox = prepare(stack.enter_context(FaultySandbox()))
        folder = tmp_path_factory.mktemp("drift") / "state"
        watched = stack.enter_context(Watched(sandbox, folder)).onboarded()
        yield watched, Snapshot(sandbox)


@pytest.fixture
def watched(
    no_waiting: None, _onboarded: tuple[Watched, Snapshot], tmp_path: Path
) -> Iterator[Watched]:
    """Return the teams `shop` and `data`, newly onboarded."""
    shared, snapshot = _onboarded
    shared.sandbox.clear_faults()
    snapshot.restore()
    with Watched(shared.sandbox, tmp_path / "state") as made:
        yield made.declared_again()
