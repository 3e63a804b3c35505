"""The audit trail, and what people are shown."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tenantry.errors import SystemRefused, TenantryError
from tenantry.rotation import Outcome, RotationRequest
from tenantry.rotation.audit import Trail
from tenantry.rotation.report import page, rows, summary

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ORDER = RotationRequest(NOW, compromised=True, reason="leaked")
ROTATED = Outcome(
    "shop",
    "pull",
    "rotated",
    robot="pull-b",
    why="age",
    since=NOW,
    expires=NOW + timedelta(days=30),
    next=NOW + timedelta(days=18),
    until=NOW + timedelta(days=1),
    test="accepted by Harbor",
    done=("created pull-b", "published it in team-shop/harbor-pull"),
    rotated=True,
)
FAILED = Outcome(
    "data",
    "ci",
    "failed",
    robot="ci-a",
    why="expiry",
    since=NOW - timedelta(days=20),
    error=SystemRefused("harbor", "POST /api/v2.0/robots", "no"),
)
IDLE = Outcome("web", "ci", "in sync", robot="ci-a", since=NOW - timedelta(days=3))


class Kept:
    """A store in memory, which can be made to fail."""

    name = "memory"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fails = False

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def write(self, name: str, content: bytes) -> None:
        if self.fails:
            raise TenantryError("it is full")
        self.files[name] = content


def test_a_trail_has_a_line_for_the_run_and_one_for_each_pair_that_was_touched() -> None:
    store = Kept()
    trail = Trail(store, "run-1", "Ann", ORDER, NOW)
    for outcome in (ROTATED, FAILED, IDLE):
        trail.add(outcome, NOW)
    ((name, content),) = store.files.items()
    assert name == "rotation-audit/2026-11-25T12-00-00-run-1.jsonl"
    run, *lines = [json.loads(line) for line in content.decode().splitlines()]
    assert (run["who"], run["order"]["reason"], run["order"]["compromised"]) == (
        "Ann",
        "leaked",
        True,
    )
    assert [(line["team"], line["why"], line["rotated"]) for line in lines] == [
        ("shop", "age", True),
        ("data", "expiry", False),
    ]
    assert lines[0]["what"] == list(ROTATED.done)
    assert lines[1]["error"] == str(FAILED.error)
    assert all(line["when"] == "2026-11-25T12:00:00+00:00" for line in (run, *lines))


def test_a_store_that_cannot_be_written_stops_the_run_at_its_beginning_only() -> None:
    store = Kept()
    store.fails = True
    with pytest.raises(TenantryError, match="it is full"):
        Trail(store, "run-1", "Ann", ORDER, NOW)
    store.fails = False
    trail = Trail(store, "run-1", "Ann", ORDER, NOW)
    store.fails = True
    trail.add(ROTATED, NOW)
    assert str(trail.error) == "it is full"


def test_the_table_shows_pairs_that_need_attention_first() -> None:
    table = rows([IDLE, ROTATED, FAILED], NOW)
    assert [row["robot"] for row in table] == ["data/ci-a", "shop/pull-b", "web/ci-a"]
    assert table[1] == {
        "robot": "shop/pull-b",
        "state": "rotated",
        "age": "less than a day",
        "expires": "2026-12-25 12:00",
        "last rotation": "2026-11-25 12:00",
        "next": "2026-12-13 12:00",
        "old one until": "2026-11-26 12:00",
        "last test": "accepted by Harbor",
        "note": "",
    }
    assert table[2]["next"] == "on request only"
    assert summary([IDLE, ROTATED, FAILED]) == "3 credentials: 1 failed, 1 rotated, 1 in sync."


def test_a_page_lists_the_changes_and_the_end_of_the_overlap() -> None:
    text = page(ROTATED, NOW)
    assert "The credential was rotated at 2026-11-25 12:00 UTC, because of its age." in text
    assert "The new robot is `pull-b`." in text
    assert "1. created pull-b" in text
    assert "**The old credential works until 2026-11-26 12:00 UTC.**" in text
    assert "The next rotation is due at 2026-12-13 12:00 UTC." in text


def test_a_page_about_a_failure_describes_the_state() -> None:
    text = page(FAILED, NOW)
    assert (
        "The credential of `ci-a` must be rotated, because its robot was about to expire." in text
    )
    assert f"**The rotation failed:** {FAILED.error}" in text
    assert "The old credential is still published." in text
