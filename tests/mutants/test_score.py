"""The mutants that the tests killed before the code was restructured, and kill now."""

import pytest

from tests.mutants.results import BASELINE, CURRENT, Score, describe, fell
from tests.support.demands import Figure


# Not in `make test`: the results are those of `make mutants`, which takes half an hour.
@pytest.mark.demand("structure", "mutants killed, before and after: the score does not fall")
@pytest.mark.long
def test_the_score_does_not_fall(figure: Figure) -> None:
    before, after = Score.read(BASELINE), Score.read(CURRENT)
    figure("; ".join(describe(before, after)))
    assert before is not None, "baseline.json is missing"
    assert after is not None, "current.json is missing: run make mutants"
    assert not fell(before, after)
