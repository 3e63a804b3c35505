"""`tenantry explain`: each field has a description, and an example that its own schema accepts."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.declared.fields import file, find
from tenantry.declared.parsing import parse
from tenantry.declared.schema import FILES, content
from tenantry.errors import DeclarationError
from tests.support.command_line import Run

pytestmark = pytest.mark.demand(
    "operate", "command line: each field is explained, with a valid example"
)

FIELDS = [(name, field) for name in ("platform", "team") for field in file(name).walk()]
SCHEMAS = {name: content(FILES[f"{name}.schema.json"]) for name in ("platform", "team")}


def test_each_field_is_described() -> None:
    assert [field.path for _, field in FIELDS if not field.description] == []


def test_each_example_is_valid_where_it_stands() -> None:
    wrong = {}
    for name, field in FIELDS:
        validator = jsonschema.Draft202012Validator(
            {**field.schema, "$defs": SCHEMAS[name]["$defs"]}
        )
        if found := [error.message for error in validator.iter_errors(field.example)]:
            wrong[f"{name}.{field.path}"] = found
    assert wrong == {}


@given(st.sampled_from([(name, field.path) for name, field in FIELDS]))
def test_each_field_is_found_by_its_path(place: tuple[str, str]) -> None:
    name, path = place
    for written in (path, path.replace("<name>", "web").replace("[]", "[0]")):
        found_in, field = find(f"{name}.{written}")
        assert (found_in, field.path) == place


def test_a_field_is_explained(run: Run) -> None:
    status, out, err = run("explain", "harbor.storage_quota")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "team.harbor.storage_quota: text or number or null",
        f"  {find('team.harbor.storage_quota')[1].description}",
        "  Default: none",
        "  Example:",
        "    harbor:",
        "      storage_quota: 10Gi",
    ]


def test_the_example_of_a_nested_field_is_yaml(run: Run) -> None:
    _, out, _ = run("explain", "team.robots.pull.sinks")
    example = out.partition("  Example:\n")[2].partition("  Fields:")[0]
    sinks = parse(example).data["robots"]["web"]["sinks"]
    assert sinks[0].keys() >= {"namespace"}


def test_the_files_are_listed(run: Run) -> None:
    status, out, _ = run("explain")
    assert status == 0
    assert "\nteam: mapping\n" in out
    status, out, _ = run("explain", "--json")
    assert [each["field"] for each in json.loads(out)] == ["platform", "team"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("harbor.quota", "team.harbor.storage_quota"),
        ("team.member", "team.members"),
        ("storage_quota", "team.harbor.storage_quota"),
        ("...", "see "),
        ("", "see "),
    ],
)
def test_an_unknown_field_is_named_with_similar_ones(path: str, hint: str, run: Run) -> None:
    with pytest.raises(DeclarationError) as refused:
        find(path)
    assert hint in str(refused.value)
    status, out, err = run("explain", path)
    assert (status, out) == (1, "")
    assert err.startswith(f"'{path}' is not a field; see ")
