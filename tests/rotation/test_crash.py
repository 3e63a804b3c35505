"""Rotation is killed at each of its requests, and run again.

`make show-rotate` does the same with a credential that lies in four Secrets.
"""

import pytest

from tests.bench import Bench, Data
from tests.rotation_bench import ROTATED, SPREAD_OUT
from tests.rotation_crash import WAYS, due, rotate

PLAIN: Data = {
    "name": "shop",
    "robots": {"pull": {"expiry_days": 30, "rotation": ROTATED}, "ci": None},
}


@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_request_it_is_finished_by_the_next_run(way: str, bench: Bench) -> None:
    due(bench, PLAIN)
    assert WAYS[way](bench).everywhere() > 15


@pytest.mark.parametrize("seed", range(2))
def test_with_many_secrets_the_run_that_goes_on_may_be_killed_too(seed: int, bench: Bench) -> None:
    due(bench, SPREAD_OUT)
    assert rotate(bench).seeded(seed, runs=6, crashes=3) > 6
