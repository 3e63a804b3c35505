"""The size of the code, and what `make test` takes, compared with the code before kinds were values."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo.processes import ROOT
from tests.structure.size import LONG, measure
from tests.support.demands import Figure

HERE = Path(__file__).parent
TOO_COMPLEX = 19
LONG_ON_PURPOSE = {"tenantry/cli.py"}
"""Files that only list: the commands with their options, each of which calls `tenantry/commands`."""


@pytest.fixture(scope="module")
def before() -> Any:
    """Return the sizes that `python -m tests.structure.size` printed for the commit in the file."""
    return json.loads((HERE / "size_before.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now() -> Any:
    return measure(ROOT)


@pytest.mark.demand("structure", "lines of the product and of the tests, before and after")
def test_lines_before_and_after(before: Any, now: Any, figure: Figure) -> None:
    figure(
        f"product {before['product_lines']} and {now['product_lines']}, "
        f"tests {before['test_lines']} and {now['test_lines']}"
    )
    assert now["product_lines"] > 0


@pytest.mark.demand("structure", f"no product file has more than {LONG} lines; before and after")
def test_no_product_file_is_too_long(before: Any, now: Any, figure: Figure) -> None:
    """A longer file is split by what changes together."""
    too_long = now["long_files"].keys() - LONG_ON_PURPOSE
    figure(f"{len(before['long_files'])} and {len(too_long)}")
    assert too_long == set()


@pytest.mark.demand(
    "structure", f"no function has a complexity of {TOO_COMPLEX}; those above 10, before and after"
)
def test_no_function_is_too_complex(before: Any, now: Any, figure: Figure) -> None:
    most = max(now["complex_functions"].items(), key=lambda item: item[1], default=("none", 0))
    figure(
        f"{len(before['complex_functions'])} and {len(now['complex_functions'])}; "
        f"the most complex: {most[0]}, {most[1]}"
    )
    assert most[1] < TOO_COMPLEX
    assert len(now["complex_functions"]) <= len(before["complex_functions"])


@pytest.mark.demand("structure", "`make test`: recorded times")
def test_the_times_of_make_test_are_recorded(figure: Figure) -> None:
    """They are recorded by hand after a run of `make test`; machines differ, so none is asserted."""
    runs = json.loads((HERE / "make_test.json").read_text(encoding="utf-8"))
    figure(
        "; ".join(
            f"{run['seconds'] // 60}:{run['seconds'] % 60:02} for {run['cases']} cases "
            f"at {run['commit']}, {run['machine']}"
            for run in runs
        )
    )
    assert runs
