"""Each list of a team file has a meaning that the documentation describes."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from tenantry.declared import Team
from tenantry.declared.types import Model
from tests.lifecycle.taking_out import CASES, Case
from tests.support.harness import Bench

ROOT = Path(__file__).parents[2]


def lists_of(model: type[Model], under: str = "") -> Iterator[str]:
    """Yield the paths of all lists and mappings of a model, with `*` for the keys of a mapping."""
    for name, found in model.model_fields.items():
        yield from _lists_in(found.annotation, f"{under}{name}")


def _lists_in(kind: Any, path: str) -> Iterator[str]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _lists_in(inner[0], path)
    elif origin in (Union, UnionType):
        for each in inner:
            yield from _lists_in(each, path)
    elif origin in (list, dict):
        if inner[-1] is Any:
            return  # an object of Kubernetes, which is compared as a whole
        yield path
        yield from _lists_in(inner[-1], f"{path}.*" if origin is dict else path)
    elif isinstance(kind, type) and issubclass(kind, Model):
        yield from lists_of(kind, f"{path}.")


def test_every_list_of_a_team_file_has_a_meaning() -> None:
    """A new list or mapping must be added to the cases, and to the table in the documentation."""
    # As `namespace`; a record of Tenantry; names of resources that other lists declare.
    others = ("further_namespaces.*.", "offboarding.", "names.")
    found = {path for path in lists_of(Team) if not path.startswith(others)}
    assert found == CASES.keys() - {"harbor.retention"}


def meaning(case: Case) -> str:
    """Return what happens to the entry, as the documentation says it."""
    if case.left:
        return case.left[0].partition(" ")[0]
    return "deleted at once" if any("delete" in each for each in case.changes) else "updated"


def table() -> dict[str, tuple[str, str]]:
    """Return the resources and the meaning of each row of the documentation, by the entry."""
    text = (ROOT / "docs" / "declared-state.md").read_text(encoding="utf-8")
    section = text.partition("## Taking something out")[2].partition("### ")[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        for entry in re.findall(r"`([^`]+)`", cells[1]) if len(cells) == 6 else ():
            rows[re.sub(r"<[a-z]+>", "*", entry)] = (cells[2], cells[3])
    return rows


def test_the_documentation_has_the_meaning_of_each_list() -> None:
    rows = table()
    assert rows.keys() == CASES.keys()
    for name, case in CASES.items():
        resources, said = rows[name]
        assert said == meaning(case), name
        kinds = {re.split(r"[/]", each.split(" ", 1)[1])[1] for each in case.changes + case.left}
        for kind in kinds - {"RoleBinding"}:
            assert kind in resources, name


def test_the_documentation_has_every_kind(bench: Bench) -> None:
    text = (ROOT / "docs" / "declared-state.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (deleted|retired|kept)([^|]*) \| (.+) \|$", text, re.MULTILINE)
    said = {_REMOVALS[verb + how.partition(",")[0]]: kinds.split(", ") for verb, how, kinds in rows}
    systems = bench.declare({"name": "shop"}).systems
    adapters: list[Any] = [*systems.team_adapters, *systems.platform_adapters]
    found: dict[str, set[str]] = {}
    for kind in {kind for adapter in adapters for kind in adapter.kinds if not kind.is_record}:
        found.setdefault(kind.removal, set()).add(kind.name)
    assert {removal: sorted(names) for removal, names in found.items()} == said


_REMOVALS = {
    "deleted at once": "at once",
    "retired": "retired",
    "deleted on request": "on request",
    "kept": "kept",
}
