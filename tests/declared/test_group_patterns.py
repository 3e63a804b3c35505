"""The names that a provider's pattern gives to groups are found without comparing all pairs."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenantry import declared
from tenantry.declared.expressions import Expression
from tenantry.declared.group_patterns import check, likely_names
from tenantry.declared.single_sign_on import ExternalProvider
from tenantry.errors import DeclarationError
from tests.support.harness import write

PATTERNS = (
    "{group}",
    "k-{group}(-[a-z]+)?",
    "a|{group}",
    "({group})?b?",
    "{group}?",
    "{group}{2}",
    "{group}*x",
    ".*{group}.*",
    "(?i)K-{group}",
    "{group}-{group}",
    "({group}|x-{group})-[0-9]",
    "[ab]{group}",
    "\\(?{group}",
)
parts = st.lists(
    st.sampled_from(["a", "b", "ab", "K", "k-", "-a", "x-", "-1", "\u017f", "ß"]), max_size=4
)
words = parts.map("".join)


@settings(max_examples=300)
@given(
    st.sampled_from(PATTERNS),
    st.booleans(),
    st.sets(words.filter(bool), max_size=6),
    st.sets(words, max_size=8),
)
@example("{group}?", False, {"a"}, {"", "a"})
@example("{group}", True, {"straße", "\u017f"}, {"STRASSE", "S", "s"})
def test_every_match_is_among_the_likely_names(
    pattern: str, ignore_case: bool, groups: set[str], names: set[str]
) -> None:
    provider = ExternalProvider(pattern=pattern, ignore_case=ignore_case)
    likely = likely_names(provider.expression, groups, names)
    for group in groups:
        expression = Expression(provider.expression(group))
        matches = {name for name in names if expression.matches(name)}
        assert matches <= set(likely.get(group, ()))


@pytest.mark.parametrize(
    "pattern",
    [
        "[{group}]",
        "x\\{group}",
        "\\Q{group}\\E",
        "x{1,{group}}",
        "x{{group}}",
        "{group}|[a{group}]",
    ],
)
def test_a_placeholder_that_is_not_a_whole_name_is_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stands for a whole name"):
        check(pattern)
    platform = f"keycloak: {{external_providers: {{corp: {{pattern: '{pattern}'}}}}}}\n"
    with pytest.raises(DeclarationError, match=r"corp\.pattern: "):
        declared.load(write(tmp_path, platform=platform))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_placeholder_that_is_a_whole_name_is_accepted(pattern: str) -> None:
    check(pattern)
