"""The sample of mutants: the same one can be drawn again after the code has moved or changed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.areas import AREAS, Area, PathMoved
from tests.mutants.population import Mutant, MutationOperator, list_mutants
from tests.mutants.results import (
    Result,
    Score,
    Scratch,
    describe,
    fell,
)
from tests.mutants.sample import Earlier, Match, choose

CODE = '''
"""A module."""
LIMIT = 3

def is_due(robot, now):
    """Return whether it is time."""
    if robot.expires < now:
        return True
    return robot.age + 1 > LIMIT


def count(items: list[int] | None = None) -> int | None:
    total: int | None = 0
    for item in items or ():
        total += len(item) if item else 2
    return total
'''


class Numbers:
    """An operator with two changes of each number, as Cosmic Ray's NumberReplacer."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        """Yield a position for each change."""
        if node.type == "number":
            yield from [(node.start_pos, node.end_pos)] * 2


class Symbols:
    """An operator that changes some of the language's operators."""

    def __init__(self, *symbols: str) -> None:
        self._symbols = symbols

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        """Yield a position for each of them."""
        if node.type == "operator" and node.value in self._symbols:
            yield node.start_pos, node.end_pos


OPERATORS: dict[str, MutationOperator] = {
    "core/Number": Numbers(),
    "core/Compare_Lt_Gt": Symbols("<"),
    "core/Compare_Gt_Lt": Symbols(">"),
    "core/Binary_Add_Sub": Symbols("+"),
    "core/Binary_BitOr_Add": Symbols("|"),
    "core/Binary_Mul_Div": Symbols("*"),
}


def mutants(*sources: str) -> list[Mutant]:
    """Return all mutants of some modules."""
    return list_mutants({f"module_{n}.py": text for n, text in enumerate(sources)}, OPERATORS)


def keys(*sources: str) -> set[tuple[str, str, int]]:
    """Return the operators, statements and places of all mutants of some modules."""
    keys = (mutant.key for mutant in mutants(*sources))
    return {(key.operator, key.statement, key.ordinal) for key in keys}


def earlier(population: Sequence[Mutant]) -> list[Earlier]:
    """Return mutants as those of a baseline."""
    return [Earlier(mutant.key, mutant.shape) for mutant in population]


def many(count: int, form: str = "value_{n} = {n} + other") -> str:
    """Return a module of different statements, each with several mutants."""
    return "\n".join(form.format(n=n) for n in range(count)) + "\n"


def test_a_mutant_is_identified_by_operator_statement_and_place() -> None:
    assert keys(CODE) == {
        ("core/Number", "LIMIT = 3", 0),
        ("core/Number", "LIMIT = 3", 1),
        ("core/Compare_Lt_Gt", "if robot . expires < now :", 0),
        ("core/Binary_Add_Sub", "return robot . age + 1 > LIMIT", 0),
        ("core/Compare_Gt_Lt", "return robot . age + 1 > LIMIT", 0),
        ("core/Number", "return robot . age + 1 > LIMIT", 0),
        ("core/Number", "return robot . age + 1 > LIMIT", 1),
        ("core/Number", "total : int | None = 0", 0),
        ("core/Number", "total : int | None = 0", 1),
        ("core/Number", "total += len ( item ) if item else 2", 0),
        ("core/Number", "total += len ( item ) if item else 2", 1),
    }


def test_the_places_of_a_statement_are_told_apart() -> None:
    found = keys("total = a + b + 1 + c\n")
    assert {key[2] for key in found if key[0] == "core/Binary_Add_Sub"} == {0, 1, 2}


def test_the_occurrence_counts_what_is_left_out_as_well() -> None:
    """Cosmic Ray counts the operator's places in the module, also those in annotations."""
    [mutant] = mutants("def f(a: int | None) -> str | None:\n    return a | f\n")
    assert (mutant.key.operator, mutant.occurrence) == ("core/Binary_BitOr_Add", 2)


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: int | None, *, b: str | int = x) -> str | None: ...\n",
        "class A:\n    a: int | None\n",
        "if TYPE_CHECKING or 1 < 2:\n    pass\n",
        "if __name__ == '__main__' and 1 < 2:\n    pass\n",
        "call(lambda *, a: a)\n",
    ],
)
def test_what_no_test_can_notice_is_left_out(source: str) -> None:
    assert not keys(source)


def test_layout_comments_and_the_module_do_not_matter() -> None:
    moved = """
class Robot:
    def is_due(self, robot, now):
        # Moved into a class.
        if robot.expires   <  now:  # with a comment
            return robot.age \\
                + 1 > LIMIT
"""
    before = {mutant.key: mutant for mutant in mutants(CODE)}
    after = {mutant.key: mutant for mutant in mutants("# Other code comes first.\n" * 9 + moved)}
    common = before.keys() & after.keys()
    assert {key.statement for key in common} == {
        "if robot . expires < now :",
        "return robot . age + 1 > LIMIT",
    }
    assert all(before[key].lines != after[key].lines for key in common)


def test_a_statement_that_occurs_twice_is_in_no_sample() -> None:
    twice = "first = limit + 1\n"
    assert not keys(twice + twice)
    assert not keys(twice, twice)
    assert not keys(twice, "def f():\n    first = limit + 1\n")


def test_drawn_twice_the_sample_is_the_same() -> None:
    first, second = many(30), many(20, "if value_{n} < {n}:\n    pass")
    sample = choose(mutants(first, second), 10)
    assert [chosen.mutant.key for chosen in sample] == [
        chosen.mutant.key for chosen in choose(mutants(second, first), 10)
    ]
    assert {chosen.match for chosen in sample} == {Match.DRAWN}


def test_a_statement_contributes_one_mutant() -> None:
    sample = choose(mutants(many(8)), 20)
    statements = [chosen.mutant.key.statement for chosen in sample]
    assert len(statements) == len(set(statements)) == 8


def test_what_cannot_be_run_is_not_chosen() -> None:
    def accept(mutant: Mutant) -> bool:
        return mutant.key.operator == "core/Number"

    sample = choose(mutants(many(8)), 5, accept=accept)
    assert [chosen.mutant.key.operator for chosen in sample] == ["core/Number"] * 5


def test_on_the_same_code_the_sample_is_the_baseline() -> None:
    population = mutants(CODE, many(30))
    baseline = [chosen.mutant for chosen in choose(population, 12)]
    again = choose(population, 12, earlier(baseline))
    assert [chosen.mutant for chosen in again] == baseline
    assert {chosen.match for chosen in again} == {Match.SAME}


def test_after_a_restructuring_the_same_mutants_run_as_far_as_they_exist() -> None:
    """One statement moved, one was renamed, one is gone; there is new code as well."""
    before = mutants("keep = 1 < base\nfind(told, 'a word') < told\nlost = (7 < x) < y\n")
    after = mutants(
        many(5),
        "def f():\n    describe(message, 'another text') < message\n",
        "class A:\n    keep = 1 < base\n",
    )
    baseline = [mutant for mutant in before if mutant.key.operator == "core/Compare_Lt_Gt"][:3]
    sample = choose(after, 3, earlier(baseline))
    matched = {chosen.match: chosen for chosen in sample}
    assert matched[Match.SAME].mutant.key == baseline[0].key
    assert matched[Match.RENAMED].earlier == baseline[1].key
    assert matched[Match.RENAMED].mutant.key.statement.startswith("describe ( message ,")
    assert matched[Match.DRAWN].earlier is None
    assert len({chosen.mutant.key.statement for chosen in sample}) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("one = a < b\ntwo = c < d\n", "three = e < f\n"),
        ("one = a < b\n", "two = e < f\nthree = g < h\n"),
        ("one = a < a\n", "two = e < f\n"),
    ],
    ids=["ambiguous before", "ambiguous after", "a name twice"],
)
def test_a_shape_that_leaves_a_doubt_is_no_match(before: str, after: str) -> None:
    [first, *_] = earlier(mutants(before))
    assert [chosen.match for chosen in choose(mutants(after), 1, [first])] == [Match.DRAWN]


def test_a_name_for_a_name_is_the_same_shape() -> None:
    [only] = earlier(mutants("told = ask(told, 'x') < told\n"))
    [chosen] = choose(mutants("label = describe(label, f'{y}') < label\n"), 1, [only])
    assert chosen.match is Match.DRAWN  # an f-string has parts
    [chosen] = choose(mutants("label = describe(label, 'y') < label\n"), 1, [only])
    assert chosen.match is Match.RENAMED


def results(killed: int, survived: int, sources: str = many(40)) -> list[Result]:
    """Return results of a sample of the planner."""
    sample = choose(mutants(sources), killed + survived)
    return [Result.of("planner", chosen, n < killed) for n, chosen in enumerate(sample)]


def test_the_score_is_kept_as_sorted_data(tmp_path: Path) -> None:
    score = Score("abc", results(4, 2))
    score.write(tmp_path / "a.json")
    Score("abc", score.results[::-1]).write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    read = Score.read(tmp_path / "a.json")
    assert read is not None
    assert (read.commit, read.killed, len(read.results)) == ("abc", 4, 6)
    assert Score.read(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("before", "after", "falls"),
    [
        ((8, 2), (8, 2), False),
        ((8, 2), (7, 3), True),
        ((8, 2), (4, 1), False),
        ((1, 2), (0, 1), True),
    ],
)
def test_the_score_falls_with_the_share_that_is_killed(
    before: tuple[int, int], after: tuple[int, int], falls: bool
) -> None:
    assert fell(Score("a", results(*before)), Score("b", results(*after))) is falls


def test_the_summary_names_what_was_killed_before_and_survives_now() -> None:
    sample = choose(mutants(many(3)), 3)
    before = Score("a", [Result.of("planner", chosen, True) for chosen in sample])
    again = choose(mutants(many(3)), 3, [result.as_earlier for result in before.results])
    now = [Result.of("planner", chosen, n > 0) for n, chosen in enumerate(again)]
    lines = list(describe(before, Score("b", now)))
    assert lines[0].startswith("before: 3 of 3 mutants killed (planner 3 of 3, drift 0 of 0")
    assert lines[1].startswith("after: 2 of 3 mutants killed (planner 2 of 3, ")
    assert lines[2].startswith(f"killed before, survives now: {now[0].id} planner: ")
    assert lines[3:] == ["the score fell"]
    assert list(describe(before, None))[1:] == ["after: not measured"]


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "results.jsonl")
    assert scratch.read() == {}
    scratch.append({"area": "drift", "id": "1", "killed": True})
    scratch.append({"area": "planner", "id": "1", "killed": False})
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('\n{"area": "drift", "id": "2", "kil')
    assert scratch.read() == {("drift", "1"): True, ("planner", "1"): False}
    scratch.append({"area": "drift", "id": "2", "killed": True})
    assert scratch.read()["drift", "2"]


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
def test_the_areas_name_code_and_tests_that_exist(area: Area) -> None:
    root = Path(__file__).parents[2]
    assert list(area.modules(root))
    assert all((root / tests).exists() for tests in area.tests)


def test_a_path_that_moved_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PathMoved, match=r"moved\.py of area 'x' does not exist"):
        list(Area("x", ("moved.py",), (), 1).modules(tmp_path))


def test_the_sample_has_150_mutants() -> None:
    assert sum(area.mutants for area in AREAS) == 150
