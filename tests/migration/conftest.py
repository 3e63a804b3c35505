"""Two platforms are made once for all tests of a file, and are as new for each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tenantry import declared
from tests.support.demands import mark_folder
from tests.support.harness import Bench, FaultySandbox, prepare
from tests.support.issuer_harness import IssuerBench
from tests.support.migration_crash import MigrationSnapshot
from tests.support.migration_harness import MigrationBench

Made = TypeVar("Made", MigrationBench, IssuerBench)


def pytest_itemcollected(item: pytest.Item) -> None:
    mark_folder(item, "migrate", "all of tests/migration")


@contextmanager
def once(make: Callable[[Bench], Made], folder: Path) -> Iterator[Callable[[], Made]]:
    """Makes one; each call gives it as it was then."""
    with FaultySandbox() as sandbox, Bench(prepare(sandbox), folder / "state") as bench:
        made = make(bench)
        kept = MigrationSnapshot(made)

        def renewed() -> Made:
            sandbox.clear_faults()
            kept.restore()
            made.bench.state = declared.load(bench.folder)
            return made

        yield renewed


@pytest.fixture(scope="module")
def provider_platform(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], MigrationBench]]:
    """People who come by a provider, and are to come by another."""
    with once(MigrationBench, tmp_path_factory.mktemp("provider")) as renewed:
        yield renewed


@pytest.fixture(scope="module")
def issuer_platform(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], IssuerBench]]:
    """People whom Harbor knows by an issuer, and is to know by another."""
    with once(IssuerBench, tmp_path_factory.mktemp("issuer")) as renewed:
        yield renewed
