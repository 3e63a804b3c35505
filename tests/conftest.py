"""What all tests share: a sandbox of their own, a declared state beside it, no waiting."""

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import stamina

from tenantry.declared import Declaration
from tenantry.systems import Systems
from tests.support.harness import SHOP, Bench, FaultySandbox, Prepare, Prepared, prepare

pytest_plugins = ["tests.real.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    where = "where the cases of tests/conformance run (see its conftest)"
    parser.addoption("--target", choices=["sandbox", "real"], default="sandbox", help=where)
    parser.addoption(
        "--whole",
        action="store_true",
        help="inject every fault into a procedure (make show-robust), instead of a sample",
    )

    parser.addoption(
        "--record",
        action="store_true",
        help="write what the given Harbor answers to the cases of tests/conformance",
    )


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether to sweep over everything, however long it takes."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture(autouse=True, scope="session")
def quick_clients() -> Iterator[None]:
    """A client reads all certificates when it is created, 20 ms long; few clients need them."""
    context = cache(ssl.create_default_context)
    with mock.patch("ssl.create_default_context", context):
        yield


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Reads are repeated as often as ever, at once."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture(scope="session")
def closing() -> Iterator[ThreadPoolExecutor]:
    """Where sandboxes are stopped, which takes a while that no test need wait for."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def sandbox(no_waiting: None, closing: ThreadPoolExecutor) -> Iterator[FaultySandbox]:
    """A sandbox as new, quick to refuse, with the realm `platform`."""
    running = FaultySandbox().__enter__()
    yield prepare(running)
    closing.submit(running.__exit__, None, None, None)


@pytest.fixture
def bench(sandbox: FaultySandbox, tmp_path: Path) -> Iterator[Bench]:
    """The sandbox and a place to declare teams; none is declared yet."""
    with Bench(sandbox, tmp_path / "state") as made:
        yield made


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Prepare], Prepared]]:
    """Sandboxes of a module's tests, by what prepares them."""
    with ExitStack() as stack:

        @cache
        def prepared(prepare: Prepare) -> Prepared:
            folder = tmp_path_factory.mktemp("prepared")
            return stack.enter_context(Prepared(folder, prepare))

        yield prepared


@pytest.fixture
def begin(
    prepared: Callable[[Prepare], Prepared], no_waiting: None, tmp_path: Path
) -> Iterator[Callable[[Prepare], Bench]]:
    """A bench to begin with that a function prepares: once for all tests of the module."""
    with ExitStack() as stack:
        yield lambda prepare: stack.enter_context(prepared(prepare).bench(tmp_path / "state"))


@pytest.fixture
def state(bench: Bench) -> Declaration:
    """A declared state of one team, `shop`, that says nothing but its name."""
    return bench.declare(SHOP).state


@pytest.fixture
def systems(bench: Bench, state: Declaration) -> Systems:
    """The systems of the sandbox, for that state."""
    return bench.systems
