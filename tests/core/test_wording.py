"""Numbers and durations in messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.wording import count, days, days_off

pytestmark = pytest.mark.demand(
    "reality", "counts, ages, remedies; the HTML report on a narrow screen"
)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 teams"), (1, "1 team"), (2, "2 teams"), (1000, "1000 teams")]
)
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    assert count(number, "team") == text


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert [count(number, "person", "people") for number in (1, 2)] == ["1 person", "2 people"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (-3.0, "less than a day"),
        (-0.1, "less than a day"),
        (-0.0, "less than a day"),
        (0.3, "less than a day"),
        (0.99, "1 day"),
        (1.2, "1 day"),
        (2.9999, "3 days"),
    ],
)
def test_an_age_is_never_negative(number: float, text: str) -> None:
    assert days(number) == text


@given(st.floats(min_value=-4000, max_value=4000))
def test_no_moment_is_minus_or_nought_days_off(number: float) -> None:
    text = days_off(number)

    assert text.startswith("in ") if number > 0 else text.endswith(" ago")
    assert "-" not in text
    assert not text.removeprefix("in ").startswith("0 ")
    assert not text.removeprefix("in ").startswith("1 days")
