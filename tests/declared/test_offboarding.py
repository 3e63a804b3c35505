"""The record of a team that is being offboarded, in the declared state."""

from pathlib import Path

import pytest

from tenantry import declared
from tenantry.declared import Team, read_form
from tenantry.errors import DeclarationError
from tests.support.harness import write

pytestmark = pytest.mark.demand(
    "lifecycle", "offboarding: the record in the declared state, and what it keeps from happening"
)

RECORD = {"since": "2026-11-30T16:00:00Z", "by": "ann", "remove_after": "2026-12-14"}
SHOP = {"name": "shop", "offboarding": RECORD}
DATA = {"name": "data"}
ROUTE = {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}


def test_a_team_with_the_record_is_declared_and_in_no_run(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, SHOP, DATA))
    assert list(state.teams) == ["data"]
    assert list(state.offboarding) == ["shop"]
    assert state.names == {"shop", "data"}
    assert [team.name for team in state.pick(None)] == ["data"]
    assert state.pick(["shop"]) == []


def test_each_skipped_team_is_one_line(tmp_path: Path) -> None:
    state = declared.read(write(tmp_path, SHOP, DATA))
    line = "Skipped: team 'shop' is being offboarded since 2026-11-30."
    assert state.skipped(None) == state.skipped(["shop"]) == [line]
    assert state.skipped(["data"]) == []


FAULTS = {
    "a field is wrong": "name: shop\ncontact: [1]\noffboarding: {since: 2026-11-30, by: a}\n",
    "the record is a text": "name: shop\noffboarding: soon\n",
    "the record is empty": "name: shop\noffboarding:\n",
    "not YAML": "name: shop\noffboarding: {since: 2026-11-30\nroutes: {",
    "the key is quoted": "name: shop\n'offboarding': {\n",
    "the end of the file is lost": "offboarding:\n  by: 'a",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_with_a_record_is_never_an_active_team(fault: str, tmp_path: Path) -> None:
    folder = write(tmp_path, DATA)
    (folder / "teams" / "shop.yaml").write_text(FAULTS[fault])
    state = declared.read(folder)
    assert list(state.teams) == ["data"]
    (left_out,) = state.left_out
    assert left_out.is_offboarding
    assert left_out.faults
    assert "shop" in state.names
    assert state.skipped(None) == [
        "Skipped: team 'shop' is being offboarded, and teams/shop.yaml is faulty."
    ]


def test_an_active_team_cannot_claim_what_the_offboarded_team_has(tmp_path: Path) -> None:
    rival = {"name": "data", "routes": {"web": ROUTE}}
    state = declared.read(write(tmp_path, SHOP | {"routes": {"web": ROUTE}}, rival))
    assert "also declared by team 'shop'" in " ".join(state.faults)
    assert "data" not in state.teams
    state = declared.read(write(tmp_path, SHOP | {"routes": {"web": ROUTE}}, DATA))
    with pytest.raises(DeclarationError, match="also declared by team 'shop'"):
        declared.add_team(state, Team.model_validate(rival))


def test_a_call_that_onboards_a_team_cannot_write_the_record() -> None:
    for call in (SHOP, {"name": "shop", "more": {"offboarding": RECORD}}):
        with pytest.raises(DeclarationError, match="only the flow offboard-team sets this field"):
            read_form(call)
    shown = str(declared.form_schema())
    assert "offboarding" not in shown


def test_the_record_does_not_change_whether_the_declaration_is_applied(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, SHOP, DATA))
    team = state.offboarding["shop"]
    plain = team.model_copy(update={"offboarding": None})
    assert state.fingerprint(team) == state.fingerprint(plain)
