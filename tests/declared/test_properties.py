"""Property tests of the declared state."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tenantry import declared
from tenantry.declared import rules
from tenantry.declared.merge import complete, merge
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.declared.types import Quantity, TeamName, quantity
from tenantry.errors import DeclarationError
from tenantry.marks import Marks
from tenantry.resources import Amount
from tenantry.systems.kubernetes.namespaces import contents
from tenantry.systems.kubernetes.objects import manifest
from tests.support.harness import write

HARBOR = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
NAMES: TypeAdapter[str] = TypeAdapter(TeamName)
QUANTITIES: TypeAdapter[str] = TypeAdapter(Quantity)

near_names = st.text("ab09-._A ", max_size=70) | st.text(max_size=5)
well_made = st.lists(st.text("abz09", min_size=1, max_size=12), min_size=1, max_size=6)


@given(near_names | well_made.map("-".join))
@example("a" * 58)
@example("a" * 59)
@example("0-0")
@example("1234")
@example("a\n")
def test_an_accepted_name_is_one_for_harbor_and_kubernetes(name: str) -> None:
    try:
        slug = f"team-{NAMES.validate_python(name)}"
    except ValidationError:
        return
    assert HARBOR.fullmatch(slug)
    assert HARBOR.fullmatch(name)
    assert LABEL.fullmatch(slug)
    assert LABEL.fullmatch(name)
    assert len(slug) <= 63
    assert not name.isdigit()


@given(well_made.map("-".join))
def test_a_name_is_refused_only_if_it_is_too_long_or_all_digits(name: str) -> None:
    if len(name) <= 58 and not name.isdigit():
        assert NAMES.validate_python(name) == name
    else:
        with pytest.raises(ValidationError):
            NAMES.validate_python(name)


UNITS = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
amounts = st.tuples(st.integers(1, 10**6), st.sampled_from(list(UNITS)))


@given(amounts, amounts)
def test_quantities_are_equal_if_their_values_are(
    one: tuple[int, str], other: tuple[int, str]
) -> None:
    values = [number * UNITS[unit] for number, unit in (one, other)]
    first, second = (Amount(f"{number}{unit}") for number, unit in (one, other))
    assert (first == str(second)) == (values[0] == values[1])
    assert (first != str(second)) == (values[0] != values[1])


@given(amounts)
def test_a_quantity_is_equal_to_its_thousandths(amount: tuple[int, str]) -> None:
    number, unit = amount
    whole = number * UNITS[unit]
    assert Amount(f"{number}{unit}") == f"{whole * 1000}m"
    assert Amount(f"{whole * 1000}m") == Amount(f"{number}{unit}")
    assert quantity(f"{number}{unit}") == Decimal(whole)


@given(st.text("0123456789.-+eEmkKMGTi ", max_size=8) | st.text(max_size=4) | st.floats())
def test_a_quantity_is_accepted_as_0_or_more_or_refused(given: Any) -> None:
    try:
        accepted = QUANTITIES.validate_python(given)
    except ValidationError:
        return
    assert quantity(accepted) >= 0


keys = st.sampled_from("abc")
trees: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda below: st.dictionaries(keys, below, max_size=3),
    max_leaves=8,
)
layers = st.dictionaries(keys, trees, max_size=3)


@given(layers)
def test_merging_with_nothing_or_with_itself_changes_nothing(layer: dict[str, Any]) -> None:
    assert merge({}, layer) == layer
    assert merge(layer, {}) == layer
    assert merge(layer, layer) == layer


@given(layers, layers)
def test_merging_twice_is_merging_once(under: dict[str, Any], over: dict[str, Any]) -> None:
    once = merge(under, over)
    assert merge(once, over) == once
    assert once.keys() == under.keys() | over.keys()


@given(layers, layers)
def test_merging_does_not_change_its_arguments(under: dict[str, Any], over: dict[str, Any]) -> None:
    before = repr((under, over))
    merge(under, over)
    assert repr((under, over)) == before


words = st.sampled_from(
    [
        "name",
        "shop",
        "harbor",
        "role",
        "robots",
        "ci",
        "pull",
        "access",
        "namespace",
        "quota",
        "null",
        "~",
        "true",
        "0",
        "-1",
        "1.5",
        "2001-99-99",
        "2001-01-01",
        "!!int",
        "!!binary",
        "!!timestamp",
        "!x",
        "&a",
        "*a",
        "<<",
        ":",
        "-",
        "?",
        "|",
        ">",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        "'",
        '"',
        "%",
        "@",
        "---",
        "...",
    ]
)
blanks = st.sampled_from(["", " ", "  ", "\n", "\n  ", "\n    ", ": ", "\t"])
yaml_like = st.lists(st.tuples(words, blanks), max_size=25).map(
    lambda parts: "".join(word + blank for word, blank in parts)
)


@settings(max_examples=60)
@given(text=yaml_like | st.text(max_size=30))
@example(text="a: &a [*a]")
@example(text="&a {name: *a}")
@example(text="name: 2001-99-99")
@example(text="name: !!int shop")
@example(text="name: !!binary '%'")
@example(text="? [a]\n: b")
@example(text="? {a: b}\n: c")
@example(text="1: a")
@example(text="null: a")
@example(text="true: {}")
@example(text="name: shop\nharbor: {1: 2}")
@example(text="name: shop\nharbor:\n  groups: {1: guest, null: guest}")
@example(text="name: shop\nrobots: {1: {}}")
@example(text="name: shop\nnamespace: {quota: {pods: .nan, secrets: .inf}}")
@example(text="name: shop\nharbor: {storage_quota: .inf}")
@example(text="name: shop\nharbor: {storage_quota: 1e400}")
@example(text="name: shop\nharbor: {storage_quota: 1e9999999999}")
@example(text="name: shop\nnamespace: {quota: {pods: 1e9999999999}}")
@example(text="[" * 1000)
@example(text="name: shop\n<<: 1")
@example(text="%YAML 9.9\n---\nname: shop")
@example(text="name: shop\n---\nname: data")
@example(text="\ud800")
def test_any_text_is_a_team_or_a_fault_and_never_a_traceback(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write(tmp_path_factory.getbasetemp() / "any")
    (folder / "teams" / "any.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    _load(folder)
    (folder / "teams" / "any.yaml").unlink()
    (folder / "platform.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    _load(folder)


def _load(folder: Path) -> None:
    try:
        declared.load(folder)
    except DeclarationError as error:
        faults = error.faults
    else:
        return
    assert faults
    for fault in faults:
        assert not re.search(
            r"Commented|Scalar|ruamel|instance of|Error\b|<class|can't be che", fault
        )
        assert re.match(r"(teams/any|platform)\.yaml:\d+: ", fault), fault
        assert "\n" not in fault


fields = st.sampled_from(
    [
        *("ingress", "egress", "ports", "from", "to", "port", "protocol", "endPort"),
        *("podSelector", "namespaceSelector", "matchLabels", "matchExpressions", "ipBlock"),
        *("cidr", "except", "policyTypes", "key", "operator", "values", "x"),
    ]
)
leaves: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 5432, 70000, -1, 1.5, "", "a", "TCP", "Ingress", "In", "10.0.0.0/8", [], {}]
)
specs: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(fields, below, max_size=3),
    max_leaves=12,
)
rule = st.dictionaries(
    st.sampled_from(["ports", "from", "to"]), st.lists(specs, max_size=2) | leaves
)
policies = specs | st.dictionaries(
    st.sampled_from(["ingress", "egress", "podSelector", "policyTypes"]),
    st.lists(rule | leaves, max_size=2) | specs,
)


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@settings(max_examples=300)
@given(spec=policies)
@example(spec={"ingress": None})
@example(spec={"ingress": [{"ports": [5432]}]})
@example(spec={"egress": [None]})
@example(spec={"ingress": [{"ports": None, "from": None}]})
@example(spec={"ingress": [{"ports": [{"port": True}]}]})
@example(spec={"podSelector": {"matchLabels": None}})
def test_crash_none_for_any_network_policy(spec: Any) -> None:
    """The value is refused, or can be converted to the object for the API server."""
    given = {"name": "shop", "namespace": {"network": {"policies": {"p": spec}}}}
    try:
        team = complete(Platform(), Team.model_validate(given))
    except ValidationError:
        return
    if list(rules.check_team(team)):
        return
    marks = Marks("tests", "Tests", lambda: "unread")
    inside = contents(marks, Platform(), team, "team-shop", team.namespace)
    made = [manifest(each) for each in inside]
    (policy,) = (each["spec"] for each in made if each["metadata"]["name"] == "p")
    assert None not in policy.values()
    for found in (*policy["ingress"], *policy["egress"]):
        for port in found.get("ports", []):
            assert port["protocol"] in ("TCP", "UDP", "SCTP")
            assert not isinstance(port.get("port"), bool)
