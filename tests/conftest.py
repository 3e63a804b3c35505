"""The fixtures of all tests: a sandbox, a bench on it, and retries without delays."""

import gc
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import stamina
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tenantry.declared import Declaration
from tenantry.systems.systems import Systems
from tests.support.harness import SHOP, Bench, FaultySandbox, Prepare, Prepared, prepare

E2E = "tests/e2e/"
# Times depend on the machine, and are never asserted.
settings.register_profile(
    "tenantry", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tenantry")
pytest_plugins = ["pytester", "tests.real.fixtures", "tests.support.demands"]


def pytest_addoption(parser: pytest.Parser) -> None:
    where = "where the cases of tests/conformance run (see its conftest)"
    parser.addoption("--target", choices=["sandbox", "real", "both"], default="sandbox", help=where)
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


def pytest_configure() -> None:
    """Import all tests without collecting garbage: there is none yet, and a third of the time goes."""
    gc.disable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """With `--dist loadfile`, let one process run all tests that need a Prefect server."""
    return OnePrefectServer(config, log) if config.option.dist == "loadfile" else None


class OnePrefectServer(LoadFileScheduling):
    """Distributes files, and `tests/e2e` as if it were one file."""

    def _split_scope(self, nodeid: str) -> str:
        return E2E if nodeid.startswith(E2E) else super()._split_scope(nodeid)


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and never look again at what the imports have created."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> bool:
    """Return whether to inject every fault, not a sample."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture(autouse=True, scope="session")
def quick_clients() -> Iterator[None]:
    """Create clients quickly: each reads all certificates, which takes 20 ms; few need them."""
    context = cache(ssl.create_default_context)
    with mock.patch("ssl.create_default_context", context):
        yield


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Retry reads as often as usual, but without delays."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture(scope="session")
def closing() -> Iterator[ThreadPoolExecutor]:
    """Return a thread pool that stops sandboxes, so that no test waits for that."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def sandbox(no_waiting: None, closing: ThreadPoolExecutor) -> Iterator[FaultySandbox]:
    """Return a new, fast sandbox with the realm `platform`."""
    running = FaultySandbox().__enter__()
    yield prepare(running)
    closing.submit(running.__exit__, None, None, None)


@pytest.fixture
def bench(sandbox: FaultySandbox, tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on the sandbox, on which no team is declared yet."""
    with Bench(sandbox, tmp_path / "state") as made:
        yield made


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Prepare], Prepared]]:
    """Return the sandboxes of a module's tests by the function that prepares them."""
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
    """Return benches that a function prepares, once for all tests of the module."""
    with ExitStack() as stack:
        yield lambda prepare: stack.enter_context(prepared(prepare).bench(tmp_path / "state"))


@pytest.fixture
def state(bench: Bench) -> Declaration:
    """Return a declared state with one team, `shop`, of which only the name is declared."""
    return bench.declare(SHOP).state


@pytest.fixture
def systems(bench: Bench, state: Declaration) -> Systems:
    """Return the systems of the sandbox for that state."""
    return bench.systems
