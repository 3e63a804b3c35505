"""A platform with a team that is offboarded, its neighbour, and objects that others have made."""

from collections.abc import Callable

import pytest

from tests.offboarding.land import prepare
from tests.support.harness import Bench, Prepare


@pytest.fixture
def land(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench on which the teams shop and data are onboarded."""
    return begin(prepare)
