"""Fixtures: a team with all declarable resources, onboarded on the sandbox."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import stamina

from tests.drift.watch import Watched
from tests.support.harness import FaultySandbox, prepare

_SYSTEMS = ("harbor", "keycloak", "kubernetes")


@pytest.fixture(scope="session")
def _onboarded(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Watched, dict[str, Any]]]:
    """Onboard the teams once, and return them with the state of the systems."""
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        sandbox = prepare(stack.enter_context(FaultySandbox()))
        folder = tmp_path_factory.mktemp("drift") / "state"
        watched = stack.enter_context(Watched(sandbox, folder)).onboarded()
        held = {name: getattr(sandbox, name).dump() for name in _SYSTEMS}
        yield watched, json.loads(json.dumps(held))


@pytest.fixture
def watched(
    no_waiting: None, _onboarded: tuple[Watched, dict[str, Any]], tmp_path: Path
) -> Iterator[Watched]:
    """Return the teams `shop` and `data`, newly onboarded."""
    shared, held = _onboarded
    for name, state in held.items():
        getattr(shared.sandbox, name).load(json.loads(json.dumps(state)))
    shared.sandbox.fault_for = lambda system, method, path: None
    with Watched(shared.sandbox, tmp_path / "state") as made:
        yield made.declared_again()
