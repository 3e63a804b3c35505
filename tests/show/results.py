"""How a `make show-…` runs commands, and what of its tests passed."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

from demo.processes import ROOT
from tests.show.report import Shown


def run_python(
    words: Iterable[str], more: Mapping[str, str] | None = None
) -> CompletedProcess[str]:
    """Runs Python in the project's folder, with these variables more, and returns what it said."""
    command, environment = [sys.executable, *words], {**os.environ, **(more or {})}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@dataclass(frozen=True)
class Case:
    """One test that was run.

    Attributes:
        test: Its file and function, as `tests/x/test_y.py::test_z`.
        parameters: What it was run with, in brackets; may be empty.
        told: What it measured, as it said by `record_property`.
    """

    test: str
    parameters: str
    passed: bool
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def confirmed(self) -> str:
        """How far a case of tests/conformance is confirmed: a real server, or `facts`."""
        return self.told.get("confirmed", "")

    @property
    def function(self) -> str:
        """The name of its function."""
        return self.test.rpartition("::")[2]

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return self.test + self.parameters


@dataclass(frozen=True)
class Results:
    """The tests of a run, and the seconds that it took."""

    cases: list[Case] = field(default_factory=list)
    seconds: float = 0.0

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def of(self, *tests: str) -> "Results":
        """Those that begin so: a folder, the start of a file's name, or a test."""
        return Results([case for case in self.cases if case.test.startswith(tests)])

    def named(self, function: str) -> "Results":
        """The cases of one test function, with all its parameters."""
        return Results([case for case in self.cases if case.function == function])

    def starting(self, *beginnings: str) -> "Results":
        """Return the cases whose functions' names begin with one of these."""
        return Results([case for case in self.cases if case.function.startswith(beginnings)])

    def line(self, demand: str, *told: str) -> Shown:
        """The line of a demand that is held if there are cases and all of them passed.

        Args:
            demand: The demand.
            told: What the cases told of themselves, to be shown as well.
        """
        notes = [
            f"{what}: {', '.join(case.told[what] for case in self if what in case.told)}"
            for what in told
        ]
        return Shown(demand, "; ".join([self.figure(), *notes]), self.all_passed)

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(case.passed for case in self.cases)

    @property
    def all_passed(self) -> bool:
        """Whether there are some, and all of them passed."""
        return bool(self.cases) and self.passed == len(self.cases)

    @property
    def confirmed(self) -> Counter[str]:
        """How many cases there are by how far they are confirmed."""
        return Counter(case.confirmed for case in self.cases)

    def figure(self) -> str:
        """How many passed, and the names of the others."""
        failed = [case.id.rpartition("::")[2] for case in self.cases if not case.passed]
        said = f"{self.passed} of {len(self.cases)} cases"
        return f"{said}; FAILED: {', '.join(failed)}" if failed else said


def run_tests(*words: str) -> Results:
    """Runs pytest, and tells of each test whether it passed. One that was skipped did not.

    What pytest says of those that failed is printed.

    Args:
        words: What to run, as pytest takes it.

    Raises:
        RuntimeError: pytest refused to run; with its last line.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.xml"
        done = run_python(["-m", "pytest", "-q", f"--junitxml={path}", *words])
        if not path.exists():
            raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
        cases = [_case(each) for each in ElementTree.parse(path).iter("testcase")]
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return Results(cases, time.monotonic() - began)


def _case(element: ElementTree.Element) -> Case:
    place = element.get("classname", "").replace(".", "/")
    name, bracket, parameters = element.get("name", "").partition("[")
    told = {str(p.get("name")): str(p.get("value")) for p in element.iter("property")}
    bad = any(element.find(kind) is not None for kind in ("failure", "error", "skipped"))
    return Case(f"{place}.py::{name}", bracket + parameters, not bad, told)
