"""The runbook of migrations matches the code, including each quoted message."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.test_docs import ROOT, read
from tests.support.runbook import GAP, read_steps, template

pytestmark = pytest.mark.demand("migrate", "all of tests/docs/test_runbook.py")

PAGE = "docs/migrate.md"
SOURCES = (
    *sorted((ROOT / "tenantry" / "migration").glob("*.py")),
    *sorted((ROOT / "tasks").glob("migration*.py")),
    *(ROOT / "tasks" / "approval.py", ROOT / "flows" / "migrate.py"),
)


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in a source, with a gap for each inserted value."""
    for child in ast.walk(node):
        if isinstance(child, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else GAP for part in child.values
            )
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


CODE = [text for source in SOURCES for text in texts(ast.parse(source.read_text()))]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table rows in a section."""
    found = re.search(
        rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", read(PAGE), re.DOTALL | re.MULTILINE
    )
    assert found, heading
    lines = [line for line in found[1].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def quoted() -> Iterator[str]:
    """Yield all messages that the page quotes."""
    for cells in (*rows("Other messages"), *rows("The identities file")):
        if not re.fullmatch(r"`[a-z_]+`", cells[0]):  # a column of the file
            yield cells[0].strip("` ")
    for cells in rows("Blocking notices"):
        yield cells[1].split("`")[1]


@pytest.mark.demand(
    "migrate", "each message that docs/migrate.md quotes is the code's, word by word"
)
@pytest.mark.parametrize("message", list(quoted()))
def test_each_quoted_message_is_the_codes(message: str) -> None:
    wanted = re.sub(r"^row \0: ", "", template(message))
    assert any(wanted in text for text in CODE), f"the code has no message like {message!r}"


def blocking_notices() -> set[str]:
    """Return the names of the blocking notices in the code."""
    found = {"unmatched", "ambiguous"}  # one notice for both states
    for source in SOURCES:
        for call in ast.walk(ast.parse(source.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Notice":
                blocking = any(keyword.arg == "blocking" for keyword in call.keywords)
                if blocking and isinstance(call.args[0], ast.Constant):
                    found.add(str(call.args[0].value))
    return found


@pytest.mark.demand("migrate", "docs/migrate.md explains every notice that stops a migration")
def test_every_notice_that_stops_a_migration_is_explained() -> None:
    assert {cells[0].strip("` ") for cells in rows("Blocking notices")} == blocking_notices()


def test_every_step_names_a_deployment_and_its_parameters() -> None:
    from flows import migrate

    steps = read_steps()
    assert [step.name.split(",")[0] for step in steps] == [
        *("A1", "A2", "A3", "A4", "A5", "C1", "C2", "C3", "C4", "C5", "back 1", "back 2")
    ]
    for step in steps:
        flow = getattr(migrate, step.deployment.replace("-", "_"))
        assert set(step.parameters) <= set(flow.parameters.properties), step.name
        assert step.name[:6] == "back 2" or step.result.strip()
        assert flow.name == step.deployment


def test_the_situations_are_the_flows() -> None:
    from flows import migrate

    declared = migrate.plan_migration.parameters.properties["situation"]["enum"]
    named = re.findall(r"^\| \*\*[ABC]\*\*, `(\w+)`", read(PAGE), re.MULTILINE)
    assert {*named, "auto"} == set(declared)
