"""Copies of the project, the runs of its tests in them, and which tests execute which line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path
from typing import BinaryIO

from coverage import CoverageData

from tests.mutants import runner
from tests.mutants.areas import Area

_SELECTED = "not real and not long and not e2e"  # of what `make test` runs, the quick part
_NO_TESTS = 5  # pytest's exit status


class Ending(StrEnum):
    """How a run of tests ended."""

    PASSED = "all tests passed"
    FAILED = "a test failed"
    BROKEN = "the tests could not be collected"
    TIMEOUT = "the tests took too long"


@dataclass(frozen=True)
class Run:
    """A run of tests that has ended."""

    ending: Ending
    seconds: float
    output: str = ""


class TestsFail(Exception):
    """The tests of an area fail without any mutant, so they cannot judge one."""


def digest(tree: Path) -> str:
    """Return a digest of a tree's Python files, which changes if a result may change."""
    result = sha256()
    for path in _tracked(tree):
        if path.suffix in (".py", ".toml", ".lock"):
            result.update(f"{path}\n".encode() + (tree / path).read_bytes())
    return result.hexdigest()[:12]


def _tracked(tree: Path) -> list[Path]:
    """Return the paths of a tree's files that Git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = sorted({Path(name) for name in listed.stdout.split("\0") if name})
    return [path for path in paths if (tree / path).is_file()]


class Copy:
    """A copy of the project in which tests run and modules may be changed."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self.root = folder / "tree"
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for path in _tracked(tree):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / path, self.root / path)

    @contextmanager
    def changed(self, module: str, text: str) -> Iterator[None]:
        """Change a module within the block."""
        path = self.root / module
        # Python tells a compiled module from a stale one by time and size, which may be the same here.
        compiled = Path(cache_from_source(str(path)))
        before = path.read_bytes()
        compiled.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.write_bytes(before)
            compiled.unlink(missing_ok=True)

    def run_tests(self, tests: set[str], limit: float) -> Run:
        """Run some tests up to the first one that fails.

        Args:
            tests: The ids of the tests.
            limit: The seconds after which the run is ended.
        """
        listed = self._folder / "tests.txt"
        listed.write_text("\n".join(sorted(tests)), encoding="utf-8")
        files = sorted({test.partition("::")[0] for test in tests})
        return self._pytest([runner.__file__, str(listed), *files, "-x"], limit)

    def record(self, area: Area, data: Path) -> "Coverage":
        """Run all tests of an area without a mutant, unless done before; return what they execute.

        Args:
            data: The file in which the recorded coverage is kept.

        Raises:
            TestsFail: A test fails.
        """
        if not data.exists():
            unfinished = data.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            options = [f"--cov={self.root / 'tenantry'}", "--cov-context=test", "--cov-report="]
            command = ["-m", "pytest", *area.tests, *options]
            more = {"COVERAGE_FILE": str(unfinished), "COVERAGE_CORE": "ctrace"}
            begun = time.monotonic()
            run = self._pytest(command, None, more)
            if run.ending is not Ending.PASSED:
                raise TestsFail(
                    f"The tests of area '{area.name}' fail without a mutant:\n{run.output}"
                )
            data.with_suffix(".seconds").write_text(str(time.monotonic() - begun))
            unfinished.replace(data)
        return Coverage(data, self.root, float(data.with_suffix(".seconds").read_text()))

    def _pytest(
        self, command: list[str], limit: float | None, more: Mapping[str, str] | None = None
    ) -> Run:
        temporary = self._folder / "tmp"
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            # Hypothesis then tries the same examples in each run, and has no deadline.
            "CI": "true",
            **(more or {}),
        }
        # `-P`: the folder of runner.py is none to import from.
        command = [sys.executable, "-P", *command, "-m", _SELECTED, "-q", "--tb=short"]
        # A test that fails only once is no evidence: on a busy machine it may have been too slow.
        command += [f"--basetemp={temporary}", "--timeout-method=thread", "--reruns=1"]
        command += ["-p", "no:cacheprovider"]
        begun = time.monotonic()
        # A file, as a process that a test left behind would keep a pipe open.
        written = self._folder / "output.txt"
        with written.open("wb") as output, _started(command, self.root, environment, output) as it:
            try:
                status = it.wait(limit)
            except subprocess.TimeoutExpired:
                return Run(Ending.TIMEOUT, time.monotonic() - begun)
        text = written.read_text(encoding="utf-8", errors="replace")
        return Run(_ending(status, text), time.monotonic() - begun, text[-4000:])


def _ending(status: int, output: str) -> Ending:
    if status in (0, _NO_TESTS):
        return Ending.PASSED
    if "+ Timeout +" in output:
        return Ending.TIMEOUT  # pytest-timeout ended the process
    return Ending.FAILED if status == 1 else Ending.BROKEN


@contextmanager
def _started(
    command: list[str], folder: Path, environment: Mapping[str, str], output: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command within the block; end it, and all that it started, at the end of the block."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Coverage:
    """Which tests of an area execute which line.

    Attributes:
        seconds: How long the area's tests took.
    """

    def __init__(self, data: Path, root: Path, seconds: float) -> None:
        self._data = CoverageData(str(data))
        self._data.read()
        self._root = root
        self.seconds = seconds
        self._by_file: defaultdict[str, set[str]] = defaultdict(set)
        for context in self._data.measured_contexts():
            test = context.rpartition("|")[0]
            if test:
                self._by_file[test.partition("::")[0]].add(test)

    def tests_of(self, module: str, lines: tuple[int, int]) -> set[str]:
        """Return the tests that execute a statement, or use what a fixture made by executing it.

        These are all tests of the area if the statement is executed when its module is imported.
        """
        by_line = self._data.contexts_by_lineno(str(self._root / module))
        executed = range(lines[0], lines[1] + 1)
        contexts = {context for line in executed for context in by_line.get(line, ())}
        if "" in contexts:
            return set().union(*self._by_file.values())
        tests: set[str] = set()
        for context in contexts:
            test, _, phase = context.rpartition("|")
            # Other tests of the file may share the fixture.
            tests |= self._by_file[test.partition("::")[0]] if phase == "setup" else {test}
        return tests
