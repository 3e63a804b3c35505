"""The page about pitfalls lists all forty, with tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))

DEMAND = "each of the forty pitfalls has a test that passes"


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists_and_is_reported(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    [test] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    marks = [ast.unparse(mark) for mark in test.decorator_list]
    assert any(DEMAND in mark for mark in marks), "make show-real does not report it"


def test_every_pitfall_is_listed_once() -> None:
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert sorted(numbers) == list(range(1, 41))


def test_every_pitfall_has_a_test() -> None:
    rows = re.findall(r"^\| \d+ \|.*$", PAGE, re.MULTILINE)
    assert all(re.search(r"`tests/[\w/]+\.py::\w+` \|$", row) for row in rows)
