"""Teams to rotate for."""

import pytest

from tests.bench import Bench
from tests.rotation_bench import PULL, SHOP, pass_time


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A team whose two credentials are due."""
    bench.declare(SHOP).onboard()
    pass_time(bench, days=20)
    return bench


@pytest.fixture
def pull(bench: Bench) -> Bench:
    """A team whose only credential is due."""
    bench.declare(PULL).onboard()
    pass_time(bench, days=20)
    return bench
