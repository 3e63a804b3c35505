"""Runs cases of the suites for a `make show-…`, and tells which of them passed."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, TypeVar
from xml.etree import ElementTree

from demo.processes import ROOT
from tests.show.report import Shown

T = TypeVar("T")


class Case(NamedTuple):
    """What became of a case.

    Attributes:
        passed: whether it did; a case that was skipped did not.
        told: what it measured, as it said by `record_property`.
    """

    passed: bool
    told: dict[str, str]


def run(*words: str) -> dict[str, bool]:
    """Whether each case passed, by its name as pytest has it: `tests.core.test_plan::test_…`.

    As `measured`.
    """
    return {name: case.passed for name, case in measured(*words).items()}


def measured(*words: str) -> dict[str, Case]:
    """What became of each case, by its name.

    Args:
        words: what pytest is told: files, cases, options.

    Raises:
        RuntimeError: pytest ran no case at all; with its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", *words, f"--junitxml={results}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []
    if not cases:
        said = (done.stdout + done.stderr).strip().splitlines() or ["pytest said nothing"]
        raise RuntimeError(said[-1])
    untold = {"properties", "system-out", "system-err"}
    return {
        f"{case.get('classname')}::{case.get('name')}": Case(
            all(part.tag in untold for part in case),
            {str(p.get("name")): str(p.get("value")) for p in case.iter("property")},
        )
        for case in cases
    }


def named(cases: dict[str, T], name: str) -> dict[str, T]:
    """The cases of one test function, with all its parameters."""
    return {
        case: passed
        for case, passed in cases.items()
        if case.rpartition("::")[2].partition("[")[0] == name
    }


def shown(demand: str, cases: dict[str, bool], note: str = "") -> Shown:
    """The line of a demand that is held if there are cases and all of them passed."""
    passed = sum(cases.values())
    failed = ", ".join(case.rpartition("::")[2] for case, held in cases.items() if not held)
    figure = f"{passed} of {len(cases)} cases passed{f', not {failed}' if failed else ''}"
    return Shown(demand, f"{figure}{f'; {note}' if note else ''}", bool(cases) and not failed)
