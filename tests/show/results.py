"""How a `make show-…` runs commands, and what of its tests passed."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

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

    def each(
        self,
        function: str,
        demand: str,
        figure: Callable[[Case], str] | None = None,
    ) -> list[Shown]:
        """Return a line for each case of a test; one that is not held if the test has no case.

        Args:
            function: The test's function.
            demand: The demand; `{}` stands for the parameters of the case.
            figure: Returns what to show for a case; by default, what it recorded.
        """
        return [
            Shown(
                demand.format(case.parameters.strip("[]")),
                (figure or _recorded)(case),
                case.passed,
            )
            for case in self.named(function)
        ] or [Shown(demand.format("each"), f"NO TEST: {function}", held=False)]

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
        if not self.cases:
            return "NO TEST"
        failed = [case.id.rpartition("::")[2] for case in self.cases if not case.passed]
        said = f"{self.passed} of {len(self.cases)} cases"
        return f"{said}; FAILED: {', '.join(failed)}" if failed else said


def run_tests(*words: str, variables: Mapping[str, str] | None = None) -> Results:
    """Run pytest and return whether each test passed. A skipped test did not pass.

    The output of pytest is printed if something failed.

    Args:
        words: What to run, as pytest takes it.
        variables: Environment variables to set for it.

    Raises:
        RuntimeError: pytest did not run the tests to their end; with its last line. A missing file,
            an error while it collects, and a failure that belongs to no test end so.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.xml"
        done = run_python(["-m", "pytest", "-q", f"--junitxml={path}", *words], variables)
        found = ElementTree.parse(path).iter("testcase") if path.exists() else ()
        results = Results([_case(each) for each in found], time.monotonic() - began)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    failed_tests = done.returncode == pytest.ExitCode.TESTS_FAILED and not results.all_passed
    if not failed_tests and done.returncode not in (
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no output"]
        raise RuntimeError(f"pytest ended with status {done.returncode}: {last[0]}")
    return results


def _recorded(case: Case) -> str:
    notes = "; ".join(f"{what}: {value}" for what, value in case.told.items())
    return notes or ("passed" if case.passed else "FAILED")


def _case(element: ElementTree.Element) -> Case:
    place = element.get("classname", "").replace(".", "/")
    name, bracket, parameters = element.get("name", "").partition("[")
    told = {str(p.get("name")): str(p.get("value")) for p in element.iter("property")}
    bad = any(element.find(kind) is not None for kind in ("failure", "error", "skipped"))
    return Case(f"{place}.py::{name}", bracket + parameters, not bad, told)
