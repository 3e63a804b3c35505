"""The JSON Schemas that editors complete and check the declared state by."""

import json
import re
from pathlib import Path

import pytest

from tenantry import declared
from tenantry.declared import schema

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deployments" / "example"


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
