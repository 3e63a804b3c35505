"""A team with everything that can be declared, onboarded on the sandbox and looked at for drift."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import stamina

from tests.bench import REALM, MishapSandbox, prepare
from tests.drift.watch import Watched


@pytest.fixture
def watched(sandbox: MishapSandbox, tmp_path: Path) -> Iterator[Watched]:
    """Two teams, onboarded; a sandbox of its own."""
    with Watched(sandbox, tmp_path / "state") as made:
        yield made.onboarded()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The same, for tests that leave it in sync."""
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        sandbox = prepare(stack.enter_context(MishapSandbox()))
        folder = tmp_path_factory.mktemp("drift") / "state"
        yield stack.enter_context(Watched(sandbox, folder)).onboarded()


__all__ = ["REALM"]
