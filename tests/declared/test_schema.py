"""The JSON Schemas with which editors complete and validate the declared state."""

import copy
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError
from ruamel.yaml import YAML

from flows.onboard import onboard_team
from tenantry import declared
from tenantry.declared import read_form, schema
from tests.declared.cases import ALL
from tests.declared.making import Case

pytestmark = pytest.mark.demand(
    "reality", "JSON Schemas accept examples, snippets and API parameters, as validate does"
)

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deployments" / "example"
PUBLISHED = {
    name.partition(".")[0]: Draft202012Validator(
        json.loads((ROOT / "docs" / "schema" / name).read_text())
    )
    for name in schema.FILES
}


@pytest.mark.parametrize("name", schema.FILES)
def test_the_published_schema_is_the_models_own(name: str) -> None:
    """If not: `python -m tenantry.declared.schema docs/schema`."""
    assert (ROOT / "docs" / "schema" / name).read_text() == schema.texts()[name]


@pytest.mark.parametrize("name", schema.FILES)
def test_every_field_is_described(name: str) -> None:
    content = json.loads(schema.texts()[name])
    for model in (content, *content["$defs"].values()):
        assert model.get("description"), model.get("title")
        for key, field in model.get("properties", {}).items():
            assert field.get("description"), f"{model.get('title')}.{key}"
        if model.get("type") == "object":
            assert model["additionalProperties"] is False


def test_the_examples_are_in_order() -> None:
    assert list(declared.load(EXAMPLE).teams) == ["data", "demo", "shop"]


@pytest.mark.parametrize("path", sorted(EXAMPLE.rglob("*.yaml")), ids=lambda path: path.name)
def test_an_example_names_its_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    target = (path.parent / named[1]).resolve()
    expected = "platform" if path.name == "platform.yaml" else "team"
    assert target == ROOT / "docs" / "schema" / f"{expected}.schema.json"
    assert target.is_file()


# What the schemas accept


def told(kind: str, content: Any) -> list[str]:
    """Return the errors of a published schema for a file's content."""
    plain = json.loads(json.dumps(content, default=str))  # dates are texts in JSON
    return [f"{error.json_path}: {error.message}" for error in PUBLISHED[kind].iter_errors(plain)]


def kind_of(name: str) -> str:
    return "platform" if name.endswith("platform.yaml") else "team"


@pytest.mark.parametrize("path", sorted(EXAMPLE.rglob("*.yaml")), ids=lambda path: path.name)
def test_a_schema_accepts_the_shipped_example(path: Path) -> None:
    assert told(kind_of(path.name), YAML(typ="safe", pure=True).load(path)) == []


def snippets() -> Iterator[Any]:
    """Return all examples of declared-state files in the documentation."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^( *)```yaml\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
        for number, (_, fence) in enumerate(fences):
            snippet = textwrap.dedent(fence)
            if named := re.match(r"# ((?:platform|teams/\w+)\.yaml)\n", snippet):
                yield pytest.param(kind_of(named[1]), snippet, id=f"{page.name}-{number}")


@pytest.mark.parametrize(("kind", "text"), list(snippets()))
def test_a_schema_accepts_the_examples_of_the_documentation(kind: str, text: str) -> None:
    assert told(kind, YAML(typ="safe", pure=True).load(text)) == []


def test_a_schema_accepts_unquoted_numbers_where_text_is_wanted() -> None:
    team = "name: shop\nnamespace: {quota: {requests.cpu: 4}, labels: {cost-centre: 42}, mesh: 1}\n"
    assert told("team", YAML(typ="safe", pure=True).load(team)) == []


LEGAL = [case for case in ALL if case.fault is None]
PARAMETERS = onboard_team.parameters.model_dump()
CALLS = Draft202012Validator(PARAMETERS)  # as Prefect does for each call, which takes its time


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: f"{case.kind}-{case.id}")
def test_the_api_accepts_what_validation_accepts(case: Case) -> None:
    team = {"name": "shop", **case.content}
    assert [error.message for error in CALLS.iter_errors({"team": team})] == []
    assert read_form(team)[0] == declared.Team.model_validate(team)


def calls() -> Iterator[Any]:
    """Return all request bodies in the documentation."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        found += re.findall(r"'(\{\"team\": .*\})'", text)
        for number, body in enumerate(found):
            if '"team":' in body:
                yield pytest.param(json.loads(body), id=f"{page.name}-{number}")


@pytest.mark.parametrize("body", list(calls()))
def test_the_api_accepts_the_calls_of_the_documentation(body: dict[str, Any]) -> None:
    validate(body, PARAMETERS, raise_on_error=True)
    team = read_form(body["team"])[0].model_dump(mode="json", exclude_unset=True)
    assert told("team", team) == []


BY_FORM = ("unknown key", "is required", "must be a list", "must hold keys", "Harbor grants no")


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: f"{case.kind}-{case.id}")
def test_a_schema_accepts_all_valid_content(case: Case) -> None:
    assert told("team", {"name": "shop", **case.content}) == []


@pytest.mark.parametrize(
    "case",
    [case for case in ALL if case.fault and any(form in case.fault for form in BY_FORM)],
    ids=lambda case: f"{case.kind}-{case.id}",
)
def test_a_schema_refuses_what_has_another_form(case: Case) -> None:
    assert told("team", {"name": "shop", **case.content})


def places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    steps: Any = content.items() if isinstance(content, dict) else ()
    if isinstance(content, list):
        steps = enumerate(content)
    for step, below in steps:
        yield from places(below, (*place, step))


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in other.items():
        mine = both.get(key)
        if isinstance(mine, dict) and isinstance(value, dict):
            both[key] = merged(mine, value)
        else:
            both[key] = value
    return both


OTHER_VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 7, "", "x", "80", "no", "**", [], {}, ["x"], {"x": {}})
]
UNKNOWN_KEYS = ["nmae", "harbor", "robots", "routes", "keycloak", "profiles"]


def mistaken(draw: st.DrawFn, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file with one changed value."""
    place = draw(st.sampled_from(list(places(content))))
    value = copy.deepcopy(draw(st.sampled_from(OTHER_VALUES)))
    if not place:
        return {**content, draw(st.sampled_from(UNKNOWN_KEYS)): value}
    content = copy.deepcopy(content)
    holder: Any = content
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return content


@st.composite
def teams(draw: st.DrawFn) -> dict[str, Any]:
    """Return a team of several valid parts, with one mistake."""
    team: dict[str, Any] = {"name": "shop"}
    for case in draw(st.lists(st.sampled_from(LEGAL), max_size=4)):
        team = merged(team, copy.deepcopy(case.content))
    return mistaken(draw, team)


PLATFORMS = [
    json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))
    for kind, text in (param.values for param in snippets())
    if kind == "platform"
]


@st.composite
def platforms(draw: st.DrawFn) -> dict[str, Any]:
    """Return a platform from the documentation, with one mistake."""
    return mistaken(draw, draw(st.sampled_from(PLATFORMS)))


@settings(max_examples=200)
@given(teams())
@example({"name": "shop", "robots": {"ci": None}})
@example({"name": "shop", "harbor": {"storage_quota": 5}})
def test_the_schema_of_a_team_is_as_strict_as_validation(team: dict[str, Any]) -> None:
    _compare("team", declared.Team, team)


@settings(max_examples=200)
@given(platforms())
@example({"policy": {"grants": [{"teams": ["shop"], "reason": "x", "clients": [0]}]}})
def test_the_schema_of_a_platform_is_as_strict_as_validation(platform: dict[str, Any]) -> None:
    _compare("platform", declared.Platform, platform)


def _compare(kind: str, model: Any, content: dict[str, Any]) -> None:
    """Holds the schema to validation, but for two things.

    Numbers and switches in quotes are taken for what is in them. Rules that a schema can't express
    are value errors, or look at several fields.
    """
    found = told(kind, content)
    read, refused = None, set[str]()
    try:
        read = model.model_validate(content).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        refused = {detail["type"] for detail in error.errors()}
    if read is not None:
        assert not (found and _is_unconverted(content, read)), found
    elif not refused & {"value_error", "whole_number"}:
        assert found, refused


def _is_unconverted(given: Any, read: Any) -> bool:
    """Return whether the values were kept, or converted from numbers to their text."""
    if isinstance(given, dict) and isinstance(read, dict):
        nothing = {key for key, value in given.items() if value is None}
        same = given.keys() - nothing == read.keys() - nothing
        return same and all(_is_unconverted(given[key], read[key]) for key in read if key in given)
    if isinstance(given, list) and isinstance(read, list):
        return len(given) == len(read) and all(map(_is_unconverted, given, read))
    if isinstance(given, int | float) and isinstance(read, str) and not isinstance(given, bool):
        return read == str(given)
    return type(given) is type(read) and given == read
