"""Who is due, and when: by policy, by order, and spread over the teams."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.declared import Rotation
from tenantry.rotation.due import RotationRequest, planned, spread, why_due

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POLICY = Rotation(max_age_days=40, before_expiry_days=5)
LONG_AGO = RotationRequest(NOW - timedelta(days=1000))


def due(
    age: float, left: float | None = None, order: RotationRequest = LONG_AGO, **more: Any
) -> str | None:
    """Why a credential of an age in days, whose robot has so many days left, is due."""
    told: dict[str, Any] = {"policy": POLICY, "works": True, "requested": True} | more
    since = NOW - timedelta(days=age)
    expires = None if left is None else NOW + timedelta(days=left)
    return why_due("shop", told.pop("policy"), order, NOW, since=since, expires=expires, **told)


@pytest.mark.parametrize(
    ("age", "left", "why"),
    [
        (29.9, None, None),
        (40, None, "age"),
        (1, 5.1, None),
        (1, 5, "expiry"),
        (1, -3, "expiry"),
        (40, 100, "age"),
    ],
)
def test_a_credential_is_due_by_its_age_and_before_its_robot_expires(
    age: float, left: float | None, why: str | None
) -> None:
    assert due(age, left) == why


def test_a_credential_that_does_not_work_is_due_at_any_age() -> None:
    assert due(0, works=False) == "broken"


def test_without_a_policy_nothing_is_due() -> None:
    assert due(1000, -1, policy=None) is None
    assert due(1, policy=None, works=False) is None
    forced = RotationRequest(NOW, force=True)
    assert due(1, order=forced, policy=None) == "forced"
    assert due(1, order=forced, policy=None, works=False) == "broken"


def test_a_request_covers_the_robots_that_existed_at_the_first_observation() -> None:
    """So a run that is repeated after its machine died does not rotate twice. No clock decides it."""
    for order in (RotationRequest(NOW, force=True), RotationRequest(NOW, compromised=True)):
        assert order.covers("shop/pull", 7), "nothing is known of the pair yet"
        order.record_robots("shop/pull", [3, 5])
        order.record_robots("shop/pull", [6])
        assert [order.covers("shop/pull", number) for number in (3, 5, 6)] == [True, True, False]
        assert due(1, order=order, requested=True) is not None
        assert due(1, order=order, requested=False) is None


def test_compromised_comes_before_all_other_reasons() -> None:
    assert (
        due(40, order=RotationRequest(NOW, force=True, compromised=True), works=False)
        == "compromised"
    )


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.integers(1, 3650))
def test_every_team_is_due_in_the_last_quarter_of_the_age_and_always_at_the_same_part(
    teams: list[str], days: int
) -> None:
    policy = Rotation(max_age_days=days)
    for team in teams:
        when, why = planned(team, policy, NOW, None)
        assert why == "age"
        assert timedelta(days=days) * 0.75 <= when - NOW <= timedelta(days=days)
        assert spread(team) == spread(team)


@pytest.mark.demand("rotate", "a thousand teams come due spread over time")
def test_a_thousand_teams_of_one_hour_come_due_over_all_of_that_time() -> None:
    policy = Rotation(max_age_days=80)
    days = [(planned(f"t{n}", policy, NOW, None)[0] - NOW).days for n in range(1000)]
    busiest = max(days.count(day) for day in set(days))
    assert len(set(days)) == 20
    assert busiest < 100
