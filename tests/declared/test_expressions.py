"""Regular expressions of the declared state: bounded, with the same meaning in Keycloak and Harbor."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry import declared
from tenantry.declared.expressions import Expression
from tenantry.errors import DeclarationError
from tests.support.harness import write


def platform(pattern: str, **more: str) -> str:
    rest = "".join(f", {key}: {value}" for key, value in more.items())
    quoted = pattern.replace("'", "''")
    return f"keycloak: {{external_providers: {{corp: {{pattern: '{quoted}'{rest}}}}}}}\n"


LEGAL = {
    "a flag for all of it": r"(?i)k8s-{group}-prod",
    "a flag for a part": r"k8s-(?i:{group})-prod",
    "alternatives": r"k8s-{group}|old-{group}",
    "classes": r"[a-z]\d\w*-{group}\.prod",
    "a lazy quantifier": r".*?-{group}",
    "an optional bracket": r"\(?P-{group}",
}


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@pytest.mark.parametrize("pattern", LEGAL.values(), ids=LEGAL)
def test_crash_none_for_a_pattern(pattern: str, tmp_path: Path) -> None:
    teams = [{"name": "shop"}, {"name": "data"}]
    folder = write(tmp_path, *teams, platform=platform(pattern))
    assert list(declared.load(folder).teams) == ["data", "shop"]


def test_a_pattern_with_a_flag_leads_to_the_team(tmp_path: Path) -> None:
    """A conflict between two teams through such a pattern is found, in upper and lower case."""
    text = platform(r"(?i)k8s-.*-{group}", groups="{K8S-x-TEAM-SHOP: team-data}")
    with pytest.raises(DeclarationError) as refused:
        declared.load(write(tmp_path, {"name": "shop"}, {"name": "data"}, platform=text))
    assert "'K8S-x-TEAM-SHOP' of provider 'corp' leads to 'team-data'" in refused.value.faults[0]


REFUSED = {
    "a back-reference": (r"({group})-\1", "has a back-reference, which takes unbounded time"),
    "a look-ahead": (
        r"(?=k8s){group}",
        "has '(?=': look-around and similar syntax is not supported",
    ),
    "a negative look-behind": (r"(?<!x){group}", "has '(?<!': look-around and similar"),
    "an atomic group": (r"(?>a){group}", "has '(?>': look-around and similar"),
    "a possessive quantifier": (r"a++{group}", "is not an RE2 regular expression: bad repet"),
    "an open bracket": (r"({group}", "is not an RE2 regular expression: missing )"),
    "an exploding repetition": (r"(a{1000}){1000}{group}", "is not an RE2 regular expression"),
    "more than 10,000 characters": ("x" * 10_000 + "{group}", "has more than 10000 characters"),
    "a name as Python writes it": (r"(?P<a>{group})", "Keycloak does not support '(?P'"),
    "a class as POSIX writes it": (r"[[:alpha:]]{group}", "'[:' has another meaning in Keycloak"),
    "an intersection of Java's": (r"[a-z&&b]{group}", "'&&' has another meaning in Keycloak"),
    "an open count": (r"a{,3}{group}", "Keycloak does not support '{,'; write '{0,'"),
    "no group": ("k8s", "must contain '{group}'"),
}


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@pytest.mark.parametrize(("pattern", "fault"), REFUSED.values(), ids=REFUSED)
def test_crash_none_for_a_pattern_that_cannot_be_used(
    pattern: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError) as refused:
        declared.load(write(tmp_path, {"name": "shop"}, platform=platform(pattern)))
    (found,) = refused.value.faults
    assert found.startswith("platform.yaml:1: keycloak.external_providers.corp.pattern: ")
    assert fault in found


@pytest.mark.demand("reality", "regular expressions run in linear time")
@pytest.mark.parametrize("pattern", ["(a*)*b{group}", "(a|a)*b{group}", "(.*)*x{group}"])
def test_regular_expression_bound(pattern: str, tmp_path: Path) -> None:
    """Each of these takes Python's engine longer than the age of the universe."""
    text = platform(pattern, groups=f"{{{'a' * 200}: team-data}}")
    begin = time.process_time()
    declared.load(write(tmp_path, {"name": "shop"}, {"name": "data"}, platform=text))
    assert time.process_time() - begin < 10


@pytest.mark.demand("reality", "regular expressions run in linear time")
def test_regular_expression_bound_of_a_group_filter(tmp_path: Path) -> None:
    text = "harbor: {single_sign_on: {group_filter: '(?=team)'}}\n"
    with pytest.raises(DeclarationError, match=r"group_filter: .*look-around"):
        declared.load(write(tmp_path, platform=text))


NAMES = {
    "sharp s": ("groß", "gross"),
    "sharp s in upper case": ("GROẞ", "GROSS"),
    "a ligature": ("\ufb01nance", "finance"),
    "a long s": ("bo\u017fs", "boss"),
    "the Kelvin sign": ("\u212a8s", "k8s"),
    "a dotless i": ("d\u0131lan", "dilan"),
}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(("one", "other"), NAMES.values(), ids=NAMES)
def test_silently_wrong_group_names_that_differ_are_two(
    one: str, other: str, tmp_path: Path
) -> None:
    """Keycloak's `(?i)` folds A to Z only, so these names lead to two groups."""
    text = "keycloak: {external_providers: {corp: {ignore_case: true}}}\n"
    teams = [
        {"name": "a", "external_groups": {"corp": [one]}},
        {"name": "b", "external_groups": {"corp": [other]}},
    ]
    assert len(declared.load(write(tmp_path, *teams, platform=text)).teams) == 2
    teams[1]["external_groups"] = {"corp": [one.replace("s", "S").replace("n", "N")]}
    with pytest.raises(DeclarationError):
        declared.load(write(tmp_path, *teams, platform=text))


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
def test_an_escaped_name_matches_itself_only(name: str) -> None:
    """Names are escaped with Python's rules in an expression."""
    expression = Expression(f"({re.escape(name)})")
    assert expression.matches(name)
    assert not expression.matches(f"{name}x")
    assert not expression.matches(f"x{name}")
