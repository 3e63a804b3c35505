"""Fixtures for flows that a real Prefect server runs.

`shared` uses the given systems (`tests.support.addresses`), and a sandbox for the others. `bench` is
always a sandbox, for tests that count its requests or use its controls.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import LocalPlatform
from tenantry.sandbox import Sandbox
from tests.real.fixtures import Cluster
from tests.support.addresses import GivenHarbor, given
from tests.support.demands import mark_folder
from tests.support.flow_harness import FlowBench, SharedBench, platform

__all__ = ["platform"]


def pytest_itemcollected(item: pytest.Item) -> None:
    demand = "the flows: no traceback, no ERROR in the logs of server and serving process"
    mark_folder(item, "reality", demand, long=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker run them all, with one Prefect server, and first: they take the longest."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("prefect"))
    items.sort(key=lambda item: here not in item.path.parents)


class SandboxBench(FlowBench):
    """A bench with its own sandbox."""

    def __init__(self, platform: LocalPlatform, sandbox: Sandbox, declared: Path) -> None:
        super().__init__(platform, sandbox.addresses(), declared)
        self.sandbox = sandbox


@pytest.fixture(autouse=True, scope="module")
def quiet_logs(platform: LocalPlatform) -> Iterator[None]:
    """Assert that no process of the platform logs a traceback or an error during a module's tests."""
    yield
    assert platform.new_errors() == []


@pytest.fixture
def bench(platform: LocalPlatform, tmp_path: Path) -> Iterator[SandboxBench]:
    with Sandbox() as sandbox:
        yield SandboxBench(platform, sandbox, tmp_path / "declared")


@pytest.fixture
def shared(
    platform: LocalPlatform,
    given_harbor: GivenHarbor | None,
    given_cluster: Cluster | None,
    tmp_path: Path,
) -> Iterator[SharedBench]:
    """Yield a bench that may share the given systems with others."""
    with Sandbox() as sandbox:
        addresses = given().addresses(sandbox.addresses())
        with SharedBench(platform, addresses, tmp_path / "declared") as bench:
            yield bench
