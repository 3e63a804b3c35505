"""Draws the sample and runs each of its mutants in a copy of the project."""

import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from tests.mutants.areas import AREAS, Area
from tests.mutants.mutating import load_operators, mutate
from tests.mutants.population import Mutant, list_mutants
from tests.mutants.results import Result, Score, Scratch, earlier_of
from tests.mutants.sample import Chosen, choose, count_matches
from tests.mutants.tree import Copy, Coverage, Ending, Run, digest

Report = Callable[[str], None]


def measure(
    tree: Path,
    scratch: Path,
    processes: int,
    before: Score | None,
    limit: int | None,
    report: Report,
) -> Score:
    """Run the sample and return its score.

    Args:
        tree: The Git work tree whose code and tests are measured. It is not changed.
        scratch: The folder for copies and results. Results of the same code and tests are used again.
        processes: How many mutants run at the same time.
        before: The baseline, if there is one: as many of its mutants as possible are used again.
        limit: Run only this many mutants of each area.
        report: Is called with a line for each step.

    Raises:
        TestsFail: The tests of an area fail without a mutant.
        PathMoved: `areas.py` names a path that does not exist.
    """
    folder = scratch / digest(tree)
    copies = [Copy(tree, folder / f"copy-{number}") for number in range(processes)]
    runner = _Runner(copies, Scratch(folder / "results.jsonl"), report)
    operators = load_operators()
    results = []
    for area in AREAS:
        sources = {
            module: (tree / module).read_text(encoding="utf-8") for module in area.modules(tree)
        }
        can_run = partial(_can_run, sources)
        population = list_mutants(sources, operators)
        sample = choose(population, area.mutants, earlier_of(before, area.name), can_run)
        report(f"{area.name}: {count_matches(sample)}")
        coverage = copies[0].record(area, folder / f"{area.name}.coverage")
        results += runner.run(area, sample[:limit], sources, coverage)
    return Score(_commit(tree), results)


def _can_run(sources: Mapping[str, str], mutant: Mutant) -> bool:
    """Return whether a mutant compiles and differs from its module."""
    return mutate(sources[mutant.module], mutant) is not None


def _commit(tree: Path) -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    return described.stdout.strip()


class _Runner:
    """Runs mutants in several copies at the same time, and remembers their results."""

    def __init__(self, copies: list[Copy], scratch: Scratch, report: Report) -> None:
        self._scratch, self._report = scratch, report
        self._known = scratch.read()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(len(copies))
        self._free: SimpleQueue[Copy] = SimpleQueue()
        for copy in copies:
            self._free.put(copy)

    def run(
        self, area: Area, sample: list[Chosen], sources: dict[str, str], coverage: Coverage
    ) -> list[Result]:
        """Return what becomes of each mutant of an area's sample."""

        def is_killed(chosen: Chosen) -> bool:
            return self._is_killed(area, chosen, sources, coverage)

        killed = self._pool.map(is_killed, sample)
        try:
            return [
                Result.of(area.name, chosen, was)
                for chosen, was in zip(sample, killed, strict=True)
            ]
        except KeyboardInterrupt:
            self._report("interrupted: waits for the tests that are running")
            self._pool.shutdown(cancel_futures=True)
            raise

    def _is_killed(
        self, area: Area, chosen: Chosen, sources: dict[str, str], coverage: Coverage
    ) -> bool:
        mutant = chosen.mutant
        known = self._known.get((area.name, mutant.key.id))
        if known is not None:
            return known
        tests = coverage.tests_of(mutant.module, mutant.lines)
        text = mutate(sources[mutant.module], mutant)
        assert text is not None  # else it would not be in the sample
        run = Run(Ending.PASSED, 0.0)  # no test executes it
        if tests:
            copy = self._free.get()
            try:
                with copy.changed(mutant.module, text):
                    run = copy.run_tests(tests, limit=60 + 10 * coverage.seconds)
            finally:
                self._free.put(copy)
        killed = run.ending is not Ending.PASSED
        row = {
            "area": area.name,
            "id": mutant.key.id,
            "killed": killed,
            "ending": run.ending,
            "tests": len(tests),
            "seconds": round(run.seconds, 1),
            "module": mutant.module,
            "line": mutant.lines[0],
            "operator": mutant.key.operator,
            "statement": mutant.key.statement,
            "output": run.output[-600:] if killed else "",
        }
        with self._lock:
            self._scratch.append(row)
        outcome = "killed" if killed else "survived"
        self._report(
            f"{area.name} {mutant.key.id}: {outcome} in {run.seconds:.0f} s, {len(tests)} tests"
            f" ({run.ending})"
        )
        return killed
