"""The distribution: what it ships, what its code imports, and what it declares to need."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
PART_OF = {
    "coolname": "prefect",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
    "requests": "python-keycloak",
    "urllib3": "kubernetes",
}
"""Modules whose types are part of the interface of a library, by the library that brings them."""


def modules() -> list[Path]:
    return [path for package in SHIPPED for path in sorted((ROOT / package).rglob("*.py"))]


def is_sandbox(path: Path) -> bool:
    return path.is_relative_to(ROOT / "tenantry" / "sandbox")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # else it stays in the package
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def canonical(requirement: str) -> str:
    """Return the name of a distribution, without its extras and versions, in lower case."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


@pytest.mark.parametrize("package", SHIPPED)
def test_each_package_ships_its_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_only_the_command_sandbox_imports_the_sandbox() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if not is_sandbox(path)
        and any(f"{name}.".startswith("tenantry.sandbox.") for name in imports(path))
    }

    assert found == {"tenantry/cli.py"}


@pytest.mark.parametrize("sandbox", [False, True], ids=["product", "sandbox"])
def test_what_is_imported_is_declared_as_a_dependency(sandbox: bool) -> None:
    project = PROJECT["project"]
    extra = project["optional-dependencies"]["sandbox"] if sandbox else []
    declared = {canonical(each) for each in [*project["dependencies"], *extra]}
    found = packages_distributions()
    used = {
        name.partition(".")[0]
        for path in modules()
        if is_sandbox(path) == sandbox
        for name in imports(path)
    }
    others = used - sys.stdlib_module_names - set(SHIPPED)

    undeclared = [
        name
        for name in sorted(others)
        if not declared & {PART_OF.get(name), *map(canonical, found.get(name, []))}
    ]
    assert undeclared == []
