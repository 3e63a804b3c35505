"""What a run that rotates many robots costs, compared with the floor: `benchmarks.rotate`."""

import pytest

from benchmarks import rotate as benchmark
from tests.support.demands import Figure


@pytest.mark.demand(
    "rotate", "a thousand robots that are due are rotated in one run, 16 calls at once"
)
@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_robots_are_rotated_in_one_run(whole: bool, figure: Figure) -> None:
    """A thousand of them with `--whole`, or a hundred, with 5 ms of latency."""
    core, floor = benchmark.measure(1000 if whole else 100, 0.005)
    figure(
        f"{core.seconds:.1f} s and {core.requests} requests; "
        f"{core.seconds / floor.seconds:.2f} times the floor's {floor.seconds:.1f} s"
    )
    assert core.note == ""
