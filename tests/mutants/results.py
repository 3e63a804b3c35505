"""What became of the mutants, kept as data, and the score before and after."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.areas import AREAS
from tests.mutants.population import Key
from tests.mutants.sample import Chosen, Earlier

HERE = Path(__file__).parent
BASELINE = HERE / "baseline.json"
CURRENT = HERE / "current.json"


@dataclass(frozen=True)
class Result:
    """What became of one mutant of a sample.

    Attributes:
        killed: Whether the tests noticed it.
        match: How the mutant relates to the baseline.
        earlier: The id of the mutant of the baseline that it corresponds to, if there is one.
    """

    area: str
    id: str
    operator: str
    statement: str
    ordinal: int
    shape: str | None
    killed: bool
    match: str
    earlier: str | None = None

    @classmethod
    def of(cls, area: str, chosen: Chosen, killed: bool) -> "Result":
        """Return the result for a mutant of a sample."""
        key = chosen.mutant.key
        earlier = chosen.earlier.id if chosen.earlier else None
        fields = (key.operator, key.statement, key.ordinal, chosen.mutant.shape, killed)
        return cls(area, key.id, *fields, chosen.match, earlier)

    @property
    def as_earlier(self) -> Earlier:
        """The mutant, for finding it again on other code."""
        return Earlier(Key(self.operator, self.statement, self.ordinal), self.shape)


@dataclass(frozen=True)
class Score:
    """The results of a whole sample, and the commit whose code was changed."""

    commit: str
    results: list[Result]

    def of(self, area: str) -> list[Result]:
        """Return the results of an area."""
        return [result for result in self.results if result.area == area]

    @property
    def killed(self) -> int:
        """The number of mutants that the tests noticed."""
        return sum(result.killed for result in self.results)

    @property
    def share(self) -> float:
        """The killed part of the sample, from 0 to 1."""
        return self.killed / len(self.results)

    def write(self, path: Path) -> None:
        """Write the score, sorted, so that a difference shows what changed."""
        rows = sorted(map(asdict, self.results), key=lambda row: (row["area"], row["id"]))
        text = json.dumps({"commit": self.commit, "mutants": rows}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Score | None":
        """Return the score of a file, or None if the file does not exist."""
        if not path.exists():
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["commit"], [Result(**row) for row in data["mutants"]])


def fell(before: Score, after: Score) -> bool:
    """Return whether a smaller part of the mutants is killed than before."""
    return after.killed * len(before.results) < before.killed * len(after.results)


def describe(before: Score | None, after: Score | None) -> Iterator[str]:
    """Yield the lines of the summary: the score before and after, and what only one of them killed."""
    for name, score in (("before", before), ("after", after)):
        if score is None:
            yield f"{name}: not measured"
            continue
        areas = ", ".join(f"{area.name} {_count(score.of(area.name))}" for area in AREAS)
        yield f"{name}: {_count(score.results)} mutants killed ({areas}), commit {score.commit}"
    if before is None or after is None:
        return
    was_killed = {result.id: result.killed for result in before.results}
    for result in after.results:
        if result.earlier is not None and was_killed[result.earlier] and not result.killed:
            yield f"killed before, survives now: {describe_mutant(result)}"
    yield "the score fell" if fell(before, after) else "the score did not fall"


def describe_mutant(result: Result) -> str:
    """Return a mutant in one line."""
    operator = result.operator.rpartition("/")[2]
    return f"{result.id} {result.area}: {operator} in `{result.statement}`"


def _count(results: Sequence[Result]) -> str:
    return f"{sum(result.killed for result in results)} of {len(results)}"


class Scratch:
    """The results of a run that goes on: a line for each mutant, appended as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[tuple[str, str], bool]:
        """Return whether each mutant was killed, by its area and id."""
        if not self._path.exists():
            return {}
        rows = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # the run was interrupted while it wrote the line
        return {(row["area"], row["id"]): row["killed"] for row in rows}

    def append(self, row: dict[str, object]) -> None:
        """Add a result."""
        with self._path.open("a", encoding="utf-8") as file:
            # The line before may lack its end: see above.
            file.write("\n" + json.dumps(row, ensure_ascii=False))


def earlier_of(score: Score | None, area: str) -> Sequence[Earlier]:
    """Return the mutants of a baseline's area; none if there is no baseline yet."""
    return [result.as_earlier for result in score.of(area)] if score else []
