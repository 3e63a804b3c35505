"""Table artifacts: their line lengths, the escaping of Markdown, and reading them back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tables import cell, read_table
from tenantry.text import unescaped, visible

ANYTHING = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]))


@given(ANYTHING, st.integers(8, 60))
def test_no_line_is_longer_than_its_column(text: str, width: int) -> None:
    for line in cell(text, width).splitlines():
        assert len(unescaped(line)) <= width


@given(ANYTHING)
def test_what_programs_read_is_read_back_as_it_was_published(text: str) -> None:
    data = json.dumps([{"resource": cell(text, None), "changes": 3}])

    assert read_table(data) == [{"resource": visible(text), "changes": 3}]


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://tracker.example.com/a.png)",
        "[click](https://example.com)",
        "<img src=x>",
        "**bold**",
        "# heading",
        "- item",
        "`code`",
        "~~gone~~",
    ],
)
def test_a_tenants_text_does_not_become_markdown(text: str) -> None:
    shown = cell(text, 60)

    for mark in "[]<>*`~":
        assert shown.count(mark) == shown.count(f"\\{mark}")
    assert not shown.startswith(("#", "-"))


def test_a_long_name_is_broken_at_its_parts() -> None:
    assert cell("metadata.labels.app.kubernetes.io/managed-by: tenantry", 36) == (
        "metadata.labels.app.kubernetes.io/\nmanaged-by: tenantry"
    )


def test_a_long_team_is_broken_after_its_dashes_which_need_no_escape_then() -> None:
    assert cell("a-team-with-a-very-long-name/pull-a", 20) == (
        "a-team-with-a-very-\nlong-name/pull-a"
    )


def test_a_word_is_kept_whole_where_it_fits() -> None:
    assert cell("Run configure-platform: it hands over the secret.", 24) == (
        "Run configure-platform:\nit hands over the\nsecret."
    )
