"""Acceptance suites: tests marked with the demand that they prove, and a report of each demand.

    @pytest.mark.demand("rotate", "no pull fails while credentials are rotated", "pulls")

marks the tests that prove a demand of the suite `rotate`. `pytest --show rotate` runs the tests of that
suite, prints a line for each demand as soon as its last test has ended, and exits with status 1 if a
demand does not hold. A demand holds only if all its tests ran and passed.

The arguments of the marker:

- the suite, and the demand. `{id}` and the names of a test's parameters are replaced, so that each case
  has its own line: `"values: {case.kind}"`.
- the names of recorded properties (`record_property`, or the fixture `figure`) to print if several
  tests prove the demand. If one test does, all its properties are printed unless some are named.
- `cases`: only the cases whose ids contain this text prove the demand.
- `sample=True`: the demand is part of `--sample`, too; `sample="only"`: it is part of nothing else.

A demand that all tests of a folder prove is added by `mark_folder` in the folder's `conftest.py`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

WHOLE = {"drift", "isolation", "lifecycle", "migrate", "robust", "rotate", "speed"}
"""The suites that inject every fault, as with `--whole`; their samples do not."""
BOTH = {"real", "reality"}
"""The suites that run the cases of tests/conformance on the sandbox and on real servers."""
SUITES = {
    "onboard": "Onboarding",
    "drift": "Drift",
    "platform": "The platform",
    "real": "One suite for the sandbox and real servers",
    "rotate": "Rotation",
    "robust": "Robustness",
    "migrate": "Migration to another identity provider",
    "reality": "Tenantry in use",
    "isolation": "Isolation of tenants",
    "lifecycle": "The whole life of a team",
    "speed": "Speed",
    "structure": "Structure of the code",
    "operate": "Operation for years",
}
TIMEOUT = 3600.0
"""Seconds for a test whose time is not limited by a marker: with `--whole`, some take long."""

Figure = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """The result of one test of a demand."""

    name: str
    outcome: str
    seconds: float
    properties: list[tuple[str, object]]

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


@dataclass
class Line:
    """A demand, the tests that prove it, and their results."""

    demand: str
    names: tuple[str, ...]
    waiting: set[str] = field(default_factory=set)
    cases: list[Case] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether all tests of the demand ran and passed."""
        return bool(self.cases) and not self.waiting and all(case.passed for case in self.cases)

    @property
    def figure(self) -> str:
        """What the tests recorded, how many passed, and which did not."""
        recorded = self._recorded()
        parts = [f"{name}: {', '.join(values)}" for name, values in recorded.items() if name]
        parts = recorded.get("", []) + parts
        total = len(self.cases) + len(self.waiting)
        if total > 1 or not self.cases or not parts:
            passed = sum(case.passed for case in self.cases)
            parts.insert(0, f"{passed} of {total} cases")
        seconds = sum(case.seconds for case in self.cases)
        parts += [f"{seconds:.0f} s"] if seconds >= 1 else []
        parts += [f"{case.outcome.upper()}: {case.name}" for case in self.cases if not case.passed]
        parts += ["NO TEST RAN"] if not self.cases else []
        return "; ".join(parts)

    def _recorded(self) -> dict[str, list[str]]:
        """Return the recorded values by name; those of the fixture `figure` have no name."""
        found: dict[str, list[str]] = {}
        alone = len(self.cases) == 1 and not self.waiting
        for case in self.cases:
            for name, value in case.properties:
                if name in self.names or (alone and not self.names and name != "confirmed"):
                    found.setdefault("" if name == "figure" else name, []).append(str(value))
        return found


def mark_folder(item: pytest.Item, suite: str, demand: str, *, long: bool = True) -> None:
    """Mark a test with a demand that the tests of a folder prove.

    Args:
        item: The test, which the folder's `pytest_itemcollected` got.
        suite: The suite.
        demand: The demand.
        long: Whether the tests with the marker `long` belong to the demand.
    """
    if long or item.get_closest_marker("long") is None:
        item.add_marker(pytest.mark.demand(suite, demand))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acceptance suites")
    group.addoption("--show", choices=SUITES, help="run a suite, and print a line for each demand")
    group.addoption("--sample", action="store_true", help="with --show: run the suite's sample")
    group.addoption("--no-real", action="store_true", help="with --show: leave out real servers")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    suite = config.getoption("--show")
    if suite is None:
        return
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("--show runs all tests in one process: leave out -n")
    config.option.whole |= suite in WHOLE and not config.getoption("--sample")
    if suite in BOTH:
        config.option.target = "both"
    config.option.timeout = getattr(config.option, "timeout", None) or TIMEOUT
    config.option.verbose = min(config.option.verbose, -1)
    config.pluginmanager.register(Show(config, suite), "show")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that gives the measured figure of a demand, to be printed in its line."""
    return lambda text: record_property("figure", text)


class Show:
    """Selects the tests of a suite, and reports its demands."""

    def __init__(self, config: pytest.Config, suite: str) -> None:
        self._config = config
        self._suite = suite
        self._sample = config.getoption("--sample")
        self._no_real = config.getoption("--no-real")
        self._lines: dict[str, Line] = {}
        self._of: dict[str, list[Line]] = {}
        self._outcomes: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._path = ""

    # Select

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Import no test file without a demand of the suite: importing all takes 20 seconds."""
        root = self._config.rootpath
        if collection_path.suffix != ".py" or not collection_path.is_relative_to(root):
            return None
        folders = [path for path in collection_path.parents if path.is_relative_to(root)]
        files = [collection_path, *(folder / "conftest.py" for folder in folders)]
        return None if any(_mentions(file, self._suite) for file in files) else True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Iterator[None]:
        dropped = []
        for item in list(items):
            lines = self._lines_of(item)
            if lines:
                self._of[item.nodeid] = lines
            else:
                items.remove(item)
                dropped.append(item)
        yield
        # Last: where other hooks, such as -k, leave out a test of a demand, the demand is not held.
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        self._print(SUITES[self._suite] + (": a sample" if self._sample else ""), bold=True)
        if self._no_real:
            self._print("… the real servers are left out")

    def _lines_of(self, item: pytest.Item) -> list[Line]:
        if self._no_real and item.get_closest_marker("real"):
            return []
        lines = []
        for mark in item.iter_markers("demand"):
            suite, demand, *names = mark.args
            if suite == self._suite and self._is_proved(item, **mark.kwargs):
                text = demand.format(**_parameters(item)) if "{" in demand else demand
                line = self._lines.setdefault(text, Line(text, tuple(names)))
                line.waiting.add(item.nodeid)
                lines.append(line)
        return lines

    def _is_proved(self, item: pytest.Item, cases: str = "", sample: bool | str = False) -> bool:
        if cases not in _parameters(item).get("id", ""):
            return False
        return bool(sample) if self._sample else sample != "only"

    # Report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no letter for a test: its demands have lines."""
        ended = report.when == "call" or report.outcome != "passed"
        category = "error" if report.failed and report.when != "call" else report.outcome
        return (category if ended else "", "", "")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        path = nodeid.partition("::")[0]
        if path != self._path:
            self._path = path
            self._print(f"… {path}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid
        self._seconds[test] = self._seconds.get(test, 0.0) + report.duration
        if hasattr(report, "wasxfail"):
            self._outcomes.setdefault(test, "expected to fail")
        elif report.outcome != "passed":
            self._outcomes.setdefault(test, report.outcome)
        if report.when != "teardown":
            return
        name = test.rpartition("::")[2]
        outcome = self._outcomes.get(test, "passed")
        case = Case(name, outcome, self._seconds[test], report.user_properties)
        for line in self._of.get(test, []):
            line.waiting.discard(test)
            line.cases.append(case)
            if not line.waiting:
                self._print_line(line)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        if self._config.option.collectonly:
            yield
            for line in self._lines.values():
                self._print(f"{line.demand}: {len(line.waiting)} tests")
            return
        for line in self._lines.values():
            if line.waiting:
                self._print_line(line)
        missed = sum(not line.held for line in self._lines.values())
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = int(bool(missed) or not self._lines)
        yield
        self._print(f"{len(self._lines) - missed} held, {missed} not held")

    def _print_line(self, line: Line) -> None:
        held = "held    " if line.held else "NOT HELD"
        self._print(f"{held}  {line.demand}: {line.figure}", red=not line.held)

    def _print(self, text: str, **markup: bool) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line(text, **markup)


def _mentions(file: Path, suite: str) -> bool:
    """Return whether a file has a demand of the suite."""
    marks = rf'(demand|mark_folder)\((\s*item,)?\s*"{suite}"'
    return file.exists() and re.search(marks, file.read_text(encoding="utf-8")) is not None


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return {**callspec.params, "id": callspec.id} if callspec else {}
