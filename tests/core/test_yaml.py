"""YAML is parsed in the same way whether or not ruamel's C parser is installed."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("tenantry", "tasks", "flows", "blocks", "deployments", "demo", "benchmarks", "tests")


def calls() -> Iterator[tuple[str, ast.Call]]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                name = getattr(node, "func", None)
                if isinstance(node, ast.Call) and "YAML" in (
                    getattr(name, "id", None),
                    getattr(name, "attr", None),
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_yaml_is_read_by_the_parser_in_python_only() -> None:
    """The C parser reads YAML 1.1, and other dependencies may install it."""
    found = dict(calls())
    assert found
    assert [
        place
        for place, call in found.items()
        if not any(
            argument.arg == "pure"
            and isinstance(argument.value, ast.Constant)
            and argument.value.value is True
            for argument in call.keywords
        )
    ] == []
