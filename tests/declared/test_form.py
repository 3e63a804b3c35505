"""The team in an API call or in the run form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows.onboard import onboard_team
from tenantry import declared
from tenantry.declared import Team, form_schema, propose, read_form, save
from tenantry.declared.proposal import AlreadyDeclared, file_content
from tenantry.errors import DeclarationError
from tests.support.harness import write

pytestmark = pytest.mark.demand(
    "reality", "the form and the API: every fault with its field or line, no defaults", sample=True
)

SCHEMA = onboard_team.parameters.model_dump()


def content(given: Any) -> dict[str, Any]:
    return file_content(read_form(given)[0])


def faults(given: Any) -> list[str]:
    with pytest.raises(DeclarationError) as refused:
        read_form(given)
    return refused.value.faults


# What is given


def test_the_form_and_a_whole_team_declare_the_same() -> None:
    form = {
        "name": "shop",
        "profile": "production",
        "members": ["ann"],
        "quota": "10Gi",
        "roles": [{"group": "auditors", "role": "guest"}],
        "more": "namespace:\n  mesh: false\nharbor:\n  public: true\n",
    }
    whole = {
        "name": "shop",
        "profile": "production",
        "members": ["ann"],
        "harbor": {"public": True, "storage_quota": "10Gi", "groups": {"auditors": "guest"}},
        "namespace": {"mesh": False},
    }
    assert content(form) == content(whole) == whole


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_empty_fields_of_the_form_are_not_given(empty: Any) -> None:
    keys = ("display_name", "contact", "profile", "quota", "more")
    given = {"name": "shop", **dict.fromkeys(keys, empty)}
    given |= {"members": None, "roles": [None, {}, {"group": empty, "role": None}]}
    assert content(given) == {"name": "shop"}


def test_rows_that_were_added_and_left_empty_are_not_given() -> None:
    assert content({"name": "shop", "members": [None, ""]}) == {"name": "shop"}
    assert content({"name": "shop", "members": ["ann", None]})["members"] == ["ann"]
    assert content({"name": "shop", "members": []})["members"] == [], "a group without members"


@pytest.mark.demand("reality", "all other fields as YAML or JSON in one field", sample=True)
@pytest.mark.parametrize(
    "more",
    [
        {"namespace": {"mesh": False}},
        '{"namespace": {"mesh": false}}',
        '{\n\t"namespace": {\n\t\t"mesh": false\n\t}\n}',
        "namespace: {mesh: false}",
        "# a comment\nnamespace:\n  mesh: false",
        "name: shop\nnamespace: {mesh: false}",
    ],
)
def test_more_is_yaml_or_json_or_an_object(more: Any) -> None:
    assert content({"name": "shop", "more": more})["namespace"] == {"mesh": False}


@pytest.mark.demand("reality", "all other fields as YAML or JSON in one field", sample=True)
@pytest.mark.parametrize("more", ["", "# nothing\n", {}, "null"])
def test_more_may_hold_nothing(more: Any) -> None:
    assert content({"name": "shop", "more": more}) == {"name": "shop"}


# What is wrong with it


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"more": "harbor:\n  role: master\n"}, "team shop: more:2: harbor.role: 'master': input"),
        ({"more": "\n\ncolour: red\n"}, "team shop: more:3: colour: unknown key; known here: "),
        ({"more": "robots: [\n"}, "team shop: more:2: is not YAML: "),
        ({"more": '{"a": "b}'}, "team shop: more:1: is not YAML: "),
        ({"more": "- a\n- b\n"}, "team shop: more:1: must contain keys and values"),
        ({"more": "mesh"}, "team shop: more:1: must contain keys and values"),
        ({"more": ["a"]}, "team shop: more: must be text in YAML or JSON, or an object"),
        ({"more": {"colour": "red"}}, "team shop: more: colour: unknown key; known here: "),
        (
            {"more": "routes:\n  web:\n    paths: []\n"},
            "team shop: more:2: routes.web.host: is req",
        ),
        ({"colour": "red"}, "team shop: colour: unknown key; known here: "),
        ({"harbor": {"role": "master"}}, "team shop: harbor.role: 'master': input should be"),
        ({"quota": "ten"}, "team shop: quota: 'ten': a quantity is a number"),
        ({"quota": "5Gi", "more": "harbor: {storage_quota: 6Gi}"}, "team shop: more: 'harbor.sto"),
        ({"more": "contact: a", "contact": "b"}, "team shop: more: 'contact' is given elsewhere"),
        ({"roles": [{"group": "a"}]}, "team shop: roles[0].role: is required"),
        ({"roles": [{"group": "a", "role": "king"}]}, "team shop: roles[0].role: 'king': input"),
        (
            {"roles": [{"group": "a", "role": "guest"}] * 2},
            "team shop: roles[1].group: 'a' is given",
        ),
        ({"roles": "a"}, "team shop: roles: must be a list"),
        ({"roles": ["a"]}, "team shop: roles[0]: must be an object"),
        ({"members": "ann"}, "team shop: members: "),
        ({"name": "Shop"}, "team Shop: name: 'Shop': a team's name is 1 to 58 lower-case letters"),
        ({"name": "shop\n"}, "team: name: 'shop\\n': a team's name is 1 to 58 lower-case letters"),
        ({"name": None}, "team: name: "),
    ],
)
def test_a_fault_names_the_field_of_the_form_or_the_line_of_more(
    given: dict[str, Any], expected: str
) -> None:
    assert any(fault.startswith(expected) for fault in faults({"name": "shop", **given}))


def test_all_faults_are_named_at_once() -> None:
    given = {"name": "shop", "quota": "ten", "roles": [{"group": "a"}], "more": "colour: red"}
    assert len(faults(given)) == 3


@pytest.mark.parametrize("given", [None, "shop", [], 5])
def test_what_is_no_object_is_refused(given: Any) -> None:
    assert faults(given) == ["team: must be an object with at least a 'name'"]


def test_a_fault_that_only_the_platform_shows_names_the_line_of_more(tmp_path: Path) -> None:
    write(tmp_path, {"name": "data", "further_namespaces": {"b": {}}})
    team, form = read_form({"name": "data-b", "more": "contact: x\nprofile: gold\n"})
    with pytest.raises(DeclarationError) as refused:
        propose(tmp_path, team, form=form)
    assert refused.value.faults[0].startswith(
        "team data-b: more:2: profile: 'gold' is not a profile"
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=9), below, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from([*form_schema()["propertyNames"]["enum"], "group", "role", "colour"])


@given(st.dictionaries(FIELDS, ANYTHING, max_size=5))
@settings(max_examples=300)
def test_any_input_is_a_team_or_a_list_of_faults(given: dict[str, Any]) -> None:
    try:
        team, found = read_form({"name": "shop"} | given)[0], []
    except DeclarationError as error:
        team, found = None, error.faults
    assert isinstance(team, Team) or found
    assert all(fault.startswith("team") for fault in found)


# The schema that Prefect draws its form from


def walk(node: Any) -> Any:
    yield node
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for each in below:
        yield from walk(each)


def test_the_schema_has_no_default_that_would_override_the_platforms() -> None:
    team = SCHEMA["properties"]["team"]
    names = set(Team.model_json_schema()["$defs"]["ContainerLimits"]["properties"])
    for node in walk(team):
        if isinstance(node, dict) and "default" in node:
            assert "default" in names, "a field of this name"
            assert node.keys() == names


def test_the_form_shows_its_fields_each_with_a_description() -> None:
    shown = SCHEMA["properties"]["team"]["properties"]
    assert list(shown) == [
        *("name", "display_name", "contact", "profile", "members", "quota", "roles", "more")
    ]
    assert all(field["title"] and field["description"] for field in shown.values())
    assert all(SCHEMA["properties"][name].get("description") for name in SCHEMA["properties"])


def refusal(team: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        validate({"team": team}, SCHEMA, raise_on_error=True)
    return str(refused.value)


RULE = "1 to {} lower-case letters and digits, in words joined by single dashes"


@pytest.mark.parametrize("name", ["Shop", "a--b", "123", "shop\n", "", "-a", "a" * 59, "sh op"])
def test_a_bad_name_is_refused_with_the_rule_in_words(name: str) -> None:
    told = refusal({"name": name})
    assert told.startswith("Validation failed for field 'team.name'. Failure reason: '1 to 58 low")
    assert told.endswith("at least one letter' was expected")


@pytest.mark.parametrize(
    ("team", "expected"),
    [
        ({"name": "shop", "colour": "red"}, "field 'team'. Failure reason: 'colour' is not one of"),
        ({"name": "shop", "harbor": {"role": "master"}}, "'team.harbor.role'. Failure reason: 'ma"),
        ({"name": "shop", "profile": 5}, "field 'team.profile'. Failure reason: 5 is not"),
        ({"name": "shop", "robots": {"C I": {}}}, RULE.format(40)),
        (
            {"name": "shop", "routes": {"w": {"host": "a", "paths": [{"service": "B_"}]}}},
            "team.rou",
        ),
        ({"name": 5}, "field 'team.name'. Failure reason: 5 is not of type 'string'"),
        ({}, "'name' is a required property"),
        ({"name": "shop", "more": 5}, "'team.more'"),
    ],
)
def test_what_prefect_refuses_it_names_without_a_regular_expression(
    team: dict[str, Any], expected: str
) -> None:
    told = refusal(team)
    assert expected in told
    assert not re.search(r"\[a-z|\^\(|\)\+\$", told), told


def test_prefect_accepts_what_declares_a_team() -> None:
    examples = Path(__file__).parents[2] / "deployments" / "example" / "teams"
    loaded = [json.loads(json.dumps(each)) for each in _examples(examples)]
    whole = [{"name": "shop", "more": "a: b"}, {"name": "shop", "more": {"a": 1}}, {"name": "shop"}]
    whole += [{"name": "shop", "contact": None, "members": None, "roles": None, "quota": None}]
    for team in [*loaded, *whole]:
        validate({"team": team}, SCHEMA, raise_on_error=True)


def _examples(folder: Path) -> list[Any]:
    """Return the team as JSON from Tenantry's own model, in which a quantity is text."""
    return [
        file_content(Team.model_validate(json.loads(json.dumps(_plain(file)))))
        for file in sorted(folder.glob("*.yaml"))
    ]


def _plain(file: Path) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(file)


# A team that is declared already


OLD = "# Ours\nname: shop\ncontact: '#old' # ask Ann\nroutes:\n  web: {host: a.example.com, paths: [{service: web, port: 80}]}\n"


def old(folder: Path) -> Path:
    write(folder, OLD)
    return folder / "teams" / "shop.yaml"


def test_a_declared_team_is_not_replaced_unasked_and_the_difference_is_shown(
    tmp_path: Path,
) -> None:
    file = old(tmp_path)
    proposal = propose(tmp_path, Team(name="shop", contact="#new"), "refuse")
    with pytest.raises(AlreadyDeclared) as refused:
        proposal.refuse()
    assert str(refused.value).splitlines()[:3] == [
        (
            "Team 'shop' is already declared in teams/shop.yaml, and this call declares it "
            "differently (declared → this call):"
        ),
        "  contact: '#old' → '#new'",
        ("  routes: {web: {host: a.example.com, paths: [{service: web, port: 80}]}} → (none)"),
    ]
    assert "Nothing was changed. Send if_declared = 'merge'" in str(refused.value)
    assert file.read_text() == OLD


def test_a_difference_is_found_wherever_it_is_in_a_long_value(tmp_path: Path) -> None:
    people = [f"person-{number}" for number in range(50)]
    write(tmp_path, f"name: shop\nmembers: [{', '.join(people)}]\n")
    proposal = propose(tmp_path, Team(name="shop", members=[*people[:-1], "new"]), "refuse")

    assert proposal.writes
    assert proposal.changes[0].given.endswith("person-48, new]")  # the approved hash covers it
    with pytest.raises(AlreadyDeclared) as refused:
        proposal.refuse()
    assert max(map(len, str(refused.value).splitlines())) < 500


@pytest.mark.parametrize(
    ("team", "shown"),
    [
        ({"members": ["bob"]}, "[bob]"),
        ({"harbor": {"storage_quota": "20Gi"}}, "{storage_quota: 20Gi}"),
        ({"namespace": {"labels": {"cost-centre": "42"}}}, "{labels: {cost-centre: '42'}}"),
        ({"display_name": "a\nb"}, '"a\\nb"'),
    ],
)
def test_a_difference_is_shown_as_a_file_holds_it(
    team: dict[str, Any], shown: str, tmp_path: Path
) -> None:
    write(tmp_path, "name: shop\n")
    (change,) = propose(tmp_path, Team.model_validate({"name": "shop", **team})).changes
    assert change[1:] == ("(none)", shown)


def test_an_identical_declaration_is_not_a_conflict(tmp_path: Path) -> None:
    file = old(tmp_path)
    team = Team.model_validate(declared.saving.find_team(tmp_path, "shop")[1])
    for how in ("refuse", "merge", "replace"):
        proposal = propose(tmp_path, team, how)
        proposal.refuse()
        assert proposal.changes == []
        save(tmp_path, proposal)
    assert file.read_text() == OLD


def test_merge_adds_the_given_fields_and_keeps_the_rest_and_its_comments(tmp_path: Path) -> None:
    file = old(tmp_path)
    given = Team.model_validate({"name": "shop", "contact": "#new", "harbor": {"public": True}})
    proposal = propose(tmp_path, given, "merge")
    assert [change.field for change in proposal.changes] == ["contact", "harbor"]
    save(tmp_path, proposal)
    text = OLD.replace("'#old'", "'#new'") + "harbor:\n  public: true\n"
    assert file.read_text() == text
    save(tmp_path, propose(tmp_path, given, "merge"))
    assert file.read_text() == text, "a second time it changes nothing"


def test_a_merge_is_checked_together_with_the_existing_content(tmp_path: Path) -> None:
    old(tmp_path)
    write_more = {"name": "shop", "more": "\nrotation: x\n"}
    assert faults(write_more)
    team, form = read_form({"name": "shop", "more": "\nprofile: gold\n"})
    with pytest.raises(DeclarationError, match=r"^team shop: more:2: profile: 'gold' is no"):
        propose(tmp_path, team, "merge", form)


def test_replace_keeps_only_the_given_fields(tmp_path: Path) -> None:
    file = old(tmp_path)
    save(tmp_path, propose(tmp_path, Team(name="shop", contact="#new"), "replace"))
    assert file.read_text() == "# Ours\nname: shop\ncontact: '#new' # ask Ann\n"


def test_a_proposal_that_is_saved_already_is_saved_again(tmp_path: Path) -> None:
    """A run that died after the save starts again."""
    write(tmp_path)
    proposal = propose(tmp_path, Team(name="shop", contact="#new"))
    save(tmp_path, proposal)
    assert "shop.yaml" in save(tmp_path, proposal).origin


def test_a_file_that_cannot_be_read_is_replaced_only_on_request(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "teams" / "shop.yaml"
    file.write_text("name: [shop\n")
    for how in ("refuse", "merge"):
        with pytest.raises(DeclarationError, match=r"teams/shop\.yaml exists and cannot be read"):
            propose(tmp_path, Team(name="shop"), how)
    save(tmp_path, propose(tmp_path, Team(name="shop"), "replace"))
    assert file.read_text() == "name: shop\n"
