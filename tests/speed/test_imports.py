"""No command and no flow imports a library that it does not use.

Each run of a flow and each command is a process of its own, and imports everything again.
"""

import ast
from pathlib import Path

import pytest

from tests.speed.imports import Loaded, load_command, load_modules

ROOT = Path(__file__).parents[2]
EXAMPLE = "deployments/example"

TABLES = {"numpy", "openpyxl", "pandas"}
GIT = {"dulwich", "paramiko"}
CLIENTS = {"keycloak", "kubernetes", "oauthlib", "requests", "urllib3"}
OTHERS = {"cryptography", "jinja2", "jwt"}
LATE = TABLES | GIT | CLIENTS | OTHERS
"""Libraries that are loaded when they are used: a table is read, a system is called, …"""
CORE = {"httpx", "pydantic_settings", "re2", "rich", "ruamel.yaml", "stamina"}
"""Libraries that most commands use, and some do not."""

FLOWS = sorted(
    f"flows.{path.stem}"
    for path in (ROOT / "flows").glob("*.py")
    if path.stem not in ("__init__", "parameters")
)
COMMANDS = {
    "--help": (("--help",), LATE | {"pydantic"} | CORE - {"rich"}),
    "version": (("version",), LATE | CORE),
    "validate": (("validate", EXAMPLE), LATE | CORE - {"re2", "ruamel.yaml", "stamina"}),
    "policy": (("policy", EXAMPLE), LATE | CORE - {"re2", "ruamel.yaml", "stamina"}),
}
"""Commands that call no system, with the libraries that they do not use."""
MODULES = [
    "tenantry.api",
    *(f"tenantry.commands.{name}" for name in ("check", "drift", "importing", "plan")),
    "tenantry.drift.reports.sarif",
    "tenantry.systems.systems",
]
LATE_MODULES = [
    "tenantry.declared.remote",
    "tenantry.drift.history_tables",
    "tenantry.drift.reports.html",
    "tenantry.systems.keycloak.connection",
    "tenantry.systems.kubernetes.connection",
]
"""The modules that import the libraries."""
IN_FUNCTIONS = {"jwt", "openpyxl"}
"""The libraries that no module imports, but a function, or another library."""


def used(loaded: Loaded, libraries: set[str]) -> set[str]:
    return libraries & loaded.modules


@pytest.mark.demand("speed", "start: no command imports what it does not use: {name}")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_only_what_it_uses(name: str) -> None:
    arguments, unused = COMMANDS[name]
    loaded = load_command(*arguments)

    assert used(loaded, unused | {"prefect", "starlette", "uvicorn"}) == set()
    assert "tenantry.cli" in loaded.modules


@pytest.fixture(scope="module")
def modules() -> dict[str, Loaded]:
    return load_modules([*MODULES, "+".join(LATE_MODULES)])


@pytest.fixture(scope="module")
def flows() -> dict[str, Loaded]:
    return load_modules(FLOWS, after_prefect=True)


@pytest.mark.demand("speed", "start: the Python API and the core import no library before its use")
@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_no_library_before_its_use(name: str, modules: dict[str, Loaded]) -> None:
    assert used(modules[name], LATE | {"prefect"}) == set()
    assert name in modules[name].modules


@pytest.mark.demand("speed", "start: no flow imports a library before its use: {name}")
@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_imports_no_library_before_its_use(name: str, flows: dict[str, Loaded]) -> None:
    assert used(flows[name], LATE | {"tenantry.sandbox"}) == set()
    assert name in flows[name].modules


def test_the_libraries_that_are_loaded_late_are_those_in_use(modules: dict[str, Loaded]) -> None:
    """If one of them had another name now, these tests would check nothing of it."""
    assert used(modules["+".join(LATE_MODULES)], LATE) == LATE - IN_FUNCTIONS


def test_each_module_that_imports_a_library_with_secrets_in_its_logs_hides_them() -> None:
    """Loggers exist once the library is imported, which may be late."""
    logging = {"keycloak", "kubernetes", "paramiko", "requests", "urllib3"}
    missing = []
    for path in sorted((ROOT / "tenantry").rglob("*.py")):
        if path.is_relative_to(ROOT / "tenantry" / "sandbox"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
        called = {ast.unparse(node) for node in tree.body if isinstance(node, ast.Expr)}
        if (
            logging & {name.partition(".")[0] for name in names}
            and "hide_wire_logs()" not in called
        ):
            missing.append(path.relative_to(ROOT).as_posix())
    # Those are imported only by modules that call it after them.
    assert missing == ["tenantry/declared/keys.py", "tenantry/systems/keycloak/answers.py"]
