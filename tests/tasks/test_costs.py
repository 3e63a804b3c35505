"""What Prefect adds to the cost of onboarding many teams: `benchmarks.onboard`."""

import pytest

from benchmarks import onboard as benchmark
from tests.support.demands import Figure

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("prefect"),
]

AIM = 1.5
"""How many times the floor a run may take: printed, not asserted."""


@pytest.fixture(scope="module")
def results(whole: bool) -> dict[str, benchmark.Result]:
    """Measure 300 teams with `--whole`, or 30, on a realistic sandbox with 5 ms of latency."""
    return {result.run: result for result in benchmark.measure(300 if whole else 30, 0.005)}


@pytest.mark.demand(
    "robust", f"{{run}}: by Prefect, compared with the floor of the same run (aim: {AIM} times)"
)
@pytest.mark.parametrize("run", benchmark.RUNS)
def test_prefect_adds_few_requests(
    run: str, results: dict[str, benchmark.Result], figure: Figure
) -> None:
    _, core, floor, prefect = results[run]
    figure(
        f"{prefect.seconds:.1f} s, {prefect.seconds / floor.seconds:.2f} times {floor.seconds:.1f} s; "
        f"running {prefect.running:.1f} s; CPU {prefect.cpu:.1f} s, the floor's {floor.cpu:.1f} s; "
        f"{prefect.requests} requests; {prefect.memory:.0f} MiB"
    )
    assert prefect.requests <= core.requests * 1.02 + 20
