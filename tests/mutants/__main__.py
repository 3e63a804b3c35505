"""Measures how many small faults ("mutants") the tests notice: `python -m tests.mutants run`.

A mutant is a copy of Tenantry in which one operator of one statement is changed, such as `<` to `<=`
or `if ready` to `if not ready`. If a test fails, the mutant is killed; if all tests pass, it survived,
and the tests do not check what was changed. The score is the killed part of a fixed sample. It shows
whether a restructuring of code and tests lost something that the tests checked before.

**The sample.** 150 mutants, 30 of the planner and 40 each of drift, rotation and declared state
(`areas.py`). Cosmic Ray makes them; this package only selects, runs and counts. Each statement
contributes one mutant at most, so that a statement with many operators weighs no more than another.
Left out are changes that no test can notice: annotations, `if TYPE_CHECKING`, `is` instead of `==`
(`population.py`, `mutating.py`).

**The same 150 on other code.** Restructured code has other files, lines and names. A mutant is
therefore identified by its area, its operator, the tokens of its statement, and the place in the
statement. A statement that occurs twice in its area is in no sample, because its key would be
ambiguous. When the sample is drawn again (`sample.py`), each mutant of the baseline is looked up in the
new code:

1. by its key. It is the same statement, in whatever module it is now;
2. else by the statement's shape, where each name and each text is a placeholder, if only one
   statement of the area has that shape in both versions. This finds a statement whose names changed;
3. else the statement is gone. A new mutant of the same area replaces it.

New mutants are drawn in the order of a hash of seed and statement. So the draw depends on nothing but
the code: not on the order of files, nor on what else is in an area. Drawn twice from the same code, the
sample is the same.

**The run.** Each mutant runs in a copy of the project, with the tests of its area that `make test` runs
too. First, all tests of the area run without a mutant. They must pass, and `pytest-cov` records which
test executes which line. A mutant then runs only the tests that execute its statement, and all tests of
a file if a fixture executes it, up to the first failure. A failed test is repeated once, so that a test
that is late on a busy machine kills no mutant. A mutant is killed, too, if the tests cannot be
collected or run longer than they may. Hypothesis tries the same examples in each run. Results are
appended to a scratch file: an interrupted run goes on if neither code nor tests have changed since.

**The data.** `baseline.json` holds the score before the restructuring, and `current.json` the last
one after it: a line for each field of each mutant, sorted. `python -m tests.mutants summary` prints both.
The score must not fall; the summary names the mutants that were killed before and survive now.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.mutants.areas import PathMoved
from tests.mutants.results import BASELINE, CURRENT, Score, describe, describe_mutant, fell

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="run the sample, and compare it with the baseline")
    run.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    run.add_argument("--tree", type=Path, default=ROOT, help="the Git work tree to measure")
    run.add_argument("--scratch", type=Path, default=ROOT / ".mutants", help="copies and results")
    run.add_argument("--baseline", action="store_true", help="draw a new sample: baseline.json")
    run.add_argument("--limit", type=int, help="run this many mutants of each area; write no data")
    run.set_defaults(command=_run)
    summary = commands.add_parser("summary", help="print the score before and after")
    summary.set_defaults(command=_summary)
    arguments = parser.parse_args()
    return int(arguments.command(arguments))


def _summary(_: argparse.Namespace) -> int:
    before, after = Score.read(BASELINE), Score.read(CURRENT)
    print(*describe(before, after), sep="\n")
    return 1 if before is None or after is None or fell(before, after) else 0


def _run(arguments: argparse.Namespace) -> int:
    # Needs Cosmic Ray, which the summary does not.
    from tests.mutants.running import measure
    from tests.mutants.tree import TestsFail

    before = None if arguments.baseline else Score.read(BASELINE)
    if before is None and not arguments.baseline:
        print("baseline.json is missing: run with --baseline on the code before the change")
        return 2
    try:
        score = measure(
            arguments.tree.resolve(),
            arguments.scratch.resolve(),
            arguments.processes,
            before,
            arguments.limit,
            lambda line: print(line, flush=True),
        )
    except (TestsFail, PathMoved) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with the run", file=sys.stderr)
        return 130
    for result in score.results:
        if not result.killed:
            print(f"survived: {describe_mutant(result)}")
    if arguments.limit is not None:
        print(f"{score.killed} of {len(score.results)} mutants killed")
        return 0
    score.write(BASELINE if arguments.baseline else CURRENT)
    return 0 if arguments.baseline else _summary(arguments)


if __name__ == "__main__":
    # Ended in any way, it keeps the results of the tests that are running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
