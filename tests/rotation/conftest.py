"""Teams to rotate for."""

from collections.abc import Callable

import pytest

from tests.support.demands import mark_folder
from tests.support.harness import Bench, Data, Prepare
from tests.support.rotation_harness import PULL, SHOP, pass_time


def pytest_itemcollected(item: pytest.Item) -> None:
    mark_folder(item, "rotate", "all of tests/rotation")


def _due(bench: Bench, team: Data) -> None:
    bench.declare(team).onboard()
    pass_time(bench, days=20)


def _both(bench: Bench) -> None:
    _due(bench, SHOP)


def _one(bench: Bench) -> None:
    _due(bench, PULL)


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """A team whose two credentials are due."""
    return begin(_both)


@pytest.fixture
def pull(begin: Callable[[Prepare], Bench]) -> Bench:
    """A team whose only credential is due."""
    return begin(_one)
