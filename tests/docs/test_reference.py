"""The generated tables of the reference are those of the code, and cover all of it."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import blocks
from docs.site import fields
from docs.site.reference import regenerate
from tasks import events
from tenantry.cli import app
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tests.docs.test_docs import DOCS, ROOT, cells, deployments, read
from tests.support.demands import Figure

NAMED = re.compile(r"^<!-- generated: (.+) -->$", re.MULTILINE)


def generated() -> list[str]:
    """Return the names of all generated tables."""
    return [name for page in DOCS for name in NAMED.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.demand(
    "operate", "documentation: the generated tables of the reference are those of the code"
)
def test_the_generated_tables_are_those_of_the_code(figure: Figure) -> None:
    for page in DOCS:
        text = page.read_text(encoding="utf-8")
        assert regenerate(text, page.name) == text, f"{page.name} is out of date: make reference"
    figure(f"{len(generated())} tables")


def test_a_table_that_differs_from_the_code_is_out_of_date() -> None:
    text = read("docs/flows.md")
    changed = text.replace("Show the changes without making them.", "Show the changes.", 1)

    assert changed != text
    assert regenerate(changed, "flows.md") == text


def test_every_flow_block_type_and_check_has_a_table() -> None:
    tables = generated()
    flows = {name.split()[1] for name in tables if name.startswith("parameters ")}
    types = {name.removeprefix("block ") for name in tables if name.startswith("block ")}

    without_own = {"follow-up-migration"}  # it has only the parameters that all migrations have
    assert flows | without_own == {each["name"] for each in deployments()}
    assert types == {getattr(blocks, name)._block_type_name for name in blocks.__all__}
    commands = {name.split()[1] for name in tables if name.startswith("options ")}
    group: Any = typer.main.get_command(app)
    assert commands == {
        name
        for name, command in group.commands.items()
        if any(each.param_type_name == "option" for each in command.params)
    }
    assert {"flows", "events", "checks", "fields team", "fields platform"} <= set(tables)


@pytest.mark.parametrize(("file", "model"), [("team", Team), ("platform", Platform)])
def test_every_field_of_the_declared_state_is_listed_with_a_text(file: str, model: Any) -> None:
    rows = cells("\n".join(fields.tables(file)))

    top = {re.split(r"[.\[]", name)[0] for name in rows}
    assert top == {info.alias or name for name, info in model.model_fields.items()}
    assert [name for name, (_, _, text) in rows.items() if not text] == []


def emitted() -> Iterator[str]:
    """Yield the texts in the code that look like the name of an event."""
    for folder in ("flows", "tasks", "deployments"):
        for source in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                text = str(node.value) if isinstance(node, ast.Constant) else ""
                if re.fullmatch(r"tenantry\.[a-z]+\.[a-z_]+", text):
                    yield text


def test_every_event_of_the_code_is_listed() -> None:
    assert {event.name for event in events.EVENTS} == set(emitted())
