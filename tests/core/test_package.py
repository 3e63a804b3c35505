"""The distribution: its content, its imports, and its declared dependencies."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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
"""Modules whose types are part of the interface of a library, with the library that needs them."""


def modules() -> list[Path]:
    return [path for package in SHIPPED for path in sorted((ROOT / package).rglob("*.py"))]


def is_sandbox(path: Path) -> bool:
    return path.is_relative_to(ROOT / "tenantry" / "sandbox")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif (
            isinstance(node, ast.ImportFrom) and node.level == 0
        ):  # a relative import stays in the package
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
def test_all_imports_are_declared_as_dependencies(sandbox: bool) -> None:
    project = PROJECT["project"]
    extra = project["optional-dependencies"]["sandbox" if sandbox else "keyring"]
    declared = {canonical(line) for line in [*project["dependencies"], *extra]}
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


# --- What imports what ---------------------------------------------------------------------------

ROOMS = ("flows", "tasks", "blocks", "tenantry")
"""The packages, from the top: each may import those below it only."""
NETWORK = {"aiohttp", "grpc", "http", "httpx", "keycloak", "kubernetes", "requests", "urllib3"}
"""The packages that call other systems."""
ERRORS_OF_HTTPX = {"HTTPError", "HTTPStatusError", "Response", "codes"}
"""The parts of httpx by which the errors of Prefect's client are told apart: they make no call."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in modules()}


def imported_modules(path: Path, statements: Iterator[ast.AST]) -> Iterator[str]:
    """Yield the modules that import statements name, relative ones resolved."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the statements that run when a module is imported; not the bodies of functions."""
    left: list[ast.AST] = list(tree.body)
    while left:
        node = left.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            left += node.orelse
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            left += list(ast.iter_child_nodes(node))


@pytest.mark.demand(
    "structure", "each part imports only those below it, and the core no Prefect: {room}"
)
@pytest.mark.parametrize("room", ROOMS)
def test_each_room_imports_only_those_below_it(room: str) -> None:
    """So the core knows neither Prefect nor the flows, and a task knows no flow."""
    above = set(ROOMS[: ROOMS.index(room)]) | ({"prefect"} if room == "tenantry" else set())
    found = [
        f"{name} imports {imported}"
        for name, path in MODULES.items()
        if name.partition(".")[0] == room
        for imported in imported_modules(path, ast.walk(ast.parse(path.read_text("utf-8"))))
        if imported.partition(".")[0] in above
    ]

    assert found == []


@pytest.mark.demand(
    "structure", "only the core calls other systems; without a library for HTTP: {room}"
)
@pytest.mark.parametrize("room", ["flows", "tasks", "blocks"])
def test_only_the_core_calls_other_systems(room: str) -> None:
    found = []
    for name, path in MODULES.items():
        if name.partition(".")[0] != room:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for imported in imported_modules(path, ast.walk(tree)):
            if imported.partition(".")[0] in NETWORK and imported != "httpx":
                found.append(f"{name} imports {imported}")
        found += [
            f"{name} uses httpx.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and ast.unparse(node.value) == "httpx"
            and node.attr not in ERRORS_OF_HTTPX
        ]

    assert found == []


@pytest.mark.demand("structure", "no modules import each other in a circle")
def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        name: {
            imported
            for imported in imported_modules(
                path, run_at_import(ast.parse(path.read_text("utf-8")))
            )
            if imported in MODULES and imported != name
        }
        for name, path in MODULES.items()
    }
    assert len(graph) > 200
    assert sum(map(len, graph.values())) > len(graph)

    assert find_circle(graph) == []
    assert find_circle(graph | {"tenantry.errors": {"tenantry.walk"}}), "a circle is found"


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules each of which imports the next, the last being the first; empty if none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []
