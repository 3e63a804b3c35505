"""The record of a team that is being offboarded, in the declared state."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tenantry import declared
from tenantry.declared import Team, read_form
from tenantry.declared.edit import edit
from tenantry.declared.ended import find_ended
from tenantry.declared.offboarding import Offboarding
from tenantry.declared.offboarding_edits import Moved, approve, archive_team, record
from tenantry.declared.proposal import AlreadyDeclared
from tenantry.declared.restoring import without_ended
from tenantry.errors import DeclarationError, TenantryError
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


# The changes of the files


def at(day: date) -> Offboarding:
    return Offboarding(since=datetime(2026, 11, 30, 16, tzinfo=UTC), by="ann", remove_after=day)


SOON = at(date(2099, 1, 1))
OVER = at(date(2020, 1, 1))


def test_the_record_is_added_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    text = "# Ours\nname: shop # the web shop\ncontact: '#shop'\n"
    folder = write(tmp_path, text, DATA)
    state, paths = edit(folder, record("shop", SOON))
    assert paths == [folder / "teams" / "shop.yaml"]
    assert paths[0].read_text().startswith(text)
    assert state.offboarding["shop"].offboarding == SOON
    assert edit(folder, record("shop", SOON))[1] == []


def test_a_second_offboarding_keeps_its_beginning_and_its_approval(tmp_path: Path) -> None:
    folder = write(tmp_path, {"name": "shop"})
    edit(folder, record("shop", SOON))
    edit(folder, approve({"shop": "abcdef0123456789"}))
    later = SOON.model_copy(update={"since": datetime.now(UTC), "by": "bob", "delete_images": True})
    edit(folder, record("shop", later))
    found = declared.load(folder).offboarding["shop"].offboarding
    assert found == SOON.model_copy(update={"delete_images": True, "approved": "abcdef0123456789"})


def test_a_faulty_file_can_be_recorded_too(tmp_path: Path) -> None:
    folder = write(tmp_path, "name: shop\ncolour: red\n", DATA)
    state, _ = edit(folder, record("shop", SOON))
    assert [each.is_offboarding for each in state.left_out] == [True]


def test_a_removed_team_moves_to_the_archive_with_what_was_kept(tmp_path: Path) -> None:
    text = "# Ours\nname: shop # the web shop\n"
    folder = write(tmp_path, text, DATA)
    edit(folder, record("shop", SOON))
    kept = {"harbor/project/team-shop": "3 repositories hold images"}
    removed = datetime(2026, 12, 14, 3, tzinfo=UTC)
    moved = archive_team(folder, "shop", SOON, removed, kept, {})
    assert moved == Moved(("archive/shop.2026-12-14.yaml",), ("teams/shop.yaml",))
    archived = (folder / "archive" / "shop.2026-12-14.yaml").read_text()
    assert archived.startswith(text)
    state = declared.load(folder)
    assert state.names == {"data"}
    assert [each.projects for each in state.archive] == [{"team-shop"}]
    assert archive_team(folder, "shop", SOON, removed, kept, {}) == Moved()


def test_a_team_that_is_removed_again_frees_the_project_that_it_kept(tmp_path: Path) -> None:
    folder = write(tmp_path, {"name": "shop"})
    edit(folder, record("shop", SOON))
    kept, number = {"harbor/project/team-shop": "images"}, {"team-shop": 7}
    archive_team(folder, "shop", SOON, datetime(2026, 12, 14, tzinfo=UTC), kept, number)
    (archived,) = declared.load(folder).archive
    assert archived.record is not None
    assert archived.record.kept_projects == number
    again = SOON.model_copy(update={"kept_projects": number, "delete_images": True})
    content = {"name": "shop", "offboarding": again.model_dump(mode="json")}
    write(folder, content)
    assert list(declared.load(folder).offboarding) == ["shop"]
    archive_team(folder, "shop", again, datetime(2026, 12, 15, tzinfo=UTC), {}, {})
    (archived,) = declared.load(folder).archive
    assert archived.projects == frozenset()
    assert archived.record is not None
    assert archived.record.kept_projects == {}
    write(folder, {"name": "shop"})
    assert list(declared.load(folder).teams) == ["shop"]


def test_an_interrupted_move_is_completed_in_the_same_file(tmp_path: Path) -> None:
    folder = write(tmp_path, {"name": "shop"})
    edit(folder, record("shop", SOON))
    text = (folder / "teams" / "shop.yaml").read_text()
    archive_team(folder, "shop", SOON, datetime(2026, 12, 14, tzinfo=UTC), {}, {})
    (folder / "teams" / "shop.yaml").write_text(text)  # it was killed before it deleted the file
    archive_team(folder, "shop", SOON, datetime(2026, 12, 15, tzinfo=UTC), {}, {})
    assert [path.name for path in (folder / "archive").iterdir()] == ["shop.2026-12-14.yaml"]
    assert not (folder / "teams" / "shop.yaml").exists()


def test_the_second_team_of_a_name_has_an_archive_file_of_its_own(tmp_path: Path) -> None:
    folder, removed = write(tmp_path), datetime(2026, 12, 14, tzinfo=UTC)
    for number in range(2):
        write(folder, {"name": "shop"})
        begun = SOON.model_copy(update={"since": SOON.since + timedelta(days=number)})
        edit(folder, record("shop", begun))
        archive_team(folder, "shop", begun, removed, {}, {})
    names = sorted(path.name for path in (folder / "archive").iterdir())
    assert names == ["shop.2026-12-14.2.yaml", "shop.2026-12-14.yaml"]


def test_a_team_that_was_onboarded_again_is_not_archived(tmp_path: Path) -> None:
    folder = write(tmp_path, {"name": "shop"})
    with pytest.raises(TenantryError, match="was changed in its file"):
        archive_team(folder, "shop", SOON, datetime.now(UTC), {}, {})
    assert declared.load(folder).teams.keys() == {"shop"}
    assert not (folder / "archive").exists()


def archived(folder: Path, text: str) -> Path:
    (folder / "archive").mkdir()
    (folder / "archive" / "shop.2026-12-14.yaml").write_text(text)
    return folder


@pytest.mark.demand(
    "lifecycle",
    "guard: a new team with the name of a removed one gets nothing of it",
    sample=True,
)
def test_a_new_team_does_not_get_the_project_of_a_removed_one(tmp_path: Path) -> None:
    kept = "kept: {harbor/project/team-shop: images}"
    folder = archived(write(tmp_path, DATA), f"name: shop\noffboarding: {{by: ann, {kept}}}\n")
    with pytest.raises(DeclarationError) as raised:
        declared.propose(folder, Team(name="shop"))
    message = str(raised.value)
    for part in ("'team-shop' still holds the images", "archive/shop.2026-12-14.yaml", "delete"):
        assert part in message
    write(folder, {"name": "shop"})
    state = declared.read(folder)
    assert list(state.teams) == ["data"]
    assert "teams/shop.yaml:1: name: the Harbor project 'team-shop'" in state.faults[0]


def test_a_new_team_may_have_the_name_of_a_completely_removed_one(tmp_path: Path) -> None:
    text = "name: shop\ncontact: old\noffboarding: {by: ann}\n"
    folder = archived(write(tmp_path, {"name": "shop"}), text)
    state = declared.load(folder)
    assert state.teams["shop"].contact is None
    assert not state.warnings


def test_an_unreadable_archive_file_refuses_its_name_only(tmp_path: Path) -> None:
    folder = archived(write(tmp_path, {"name": "shop"}, DATA), "name: shop\noffboarding: {")
    state = declared.read(folder)
    assert list(state.teams) == ["data"]
    assert "archive/shop.2026-12-14.yaml cannot be read" in state.faults[0]
    assert state.warnings[0].startswith("archive/shop.2026-12-14.yaml:2: is not YAML")


# Onboarding again


def recorded(folder: Path, text: str, how: Offboarding = SOON) -> Path:
    edit(write(folder, text), record("shop", how))
    return folder


TEXT = "# Ours\nname: shop\ncontact: '#shop' # the channel\n"


@pytest.mark.demand("lifecycle", "guard: onboarded again during the grace period", sample=True)
def test_the_name_is_enough_to_onboard_a_team_again(tmp_path: Path) -> None:
    folder = recorded(tmp_path, TEXT)
    proposal = declared.propose(folder, Team(name="shop"), "refuse")
    proposal.refuse()
    assert proposal.restores
    assert [each.field for each in proposal.changes] == ["offboarding"]
    state = declared.save(folder, proposal)
    assert (folder / "teams" / "shop.yaml").read_text() == TEXT
    assert state.teams["shop"].contact == "#shop"
    assert not state.offboarding


def test_other_fields_are_refused_as_for_any_declared_team(tmp_path: Path) -> None:
    folder = recorded(tmp_path, TEXT)
    proposal = declared.propose(folder, Team(name="shop", contact="bob"), "refuse")
    with pytest.raises(AlreadyDeclared, match="contact") as raised:
        proposal.refuse()
    assert "offboarding" not in str(raised.value)
    merged = declared.propose(folder, Team(name="shop", display_name="Shop"), "merge")
    assert merged.content == {"name": "shop", "contact": "#shop", "display_name": "Shop"}


def test_after_the_grace_period_a_team_is_not_restored(tmp_path: Path) -> None:
    folder = recorded(tmp_path, TEXT, OVER)
    with pytest.raises(DeclarationError, match="grace period ended on 2020-01-01"):
        declared.propose(folder, Team(name="shop"), "merge")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_call_overwrites_a_faulty_record(fault: str, tmp_path: Path) -> None:
    folder = write(tmp_path, DATA)
    (folder / "teams" / "shop.yaml").write_text(FAULTS[fault])
    for how in ("refuse", "merge", "replace"):
        with pytest.raises(DeclarationError):
            declared.propose(folder, Team(name="shop"), how)
    assert (folder / "teams" / "shop.yaml").read_text() == FAULTS[fault]


def test_a_run_for_an_older_state_restores_no_ended_team(tmp_path: Path) -> None:
    older = declared.load(write(tmp_path / "old", *({"name": n} for n in ("shop", "gone", "data"))))
    folder = archived(write(tmp_path / "new", SHOP, DATA), "name: gone\noffboarding: {by: ann}\n")
    state = without_ended(older, declared.load(folder))
    assert list(state.teams) == ["data"]
    assert list(state.offboarding) == ["shop"]
    where = "archive/shop.2026-12-14.yaml"
    fault = f"teams/gone.yaml:1: team 'gone' was removed ({where}) at the head of the branch"
    assert state.faults == [fault]


def test_a_run_finds_the_teams_that_ended_meanwhile(tmp_path: Path) -> None:
    names = ("shop", "gone", "again", "broken", "data")
    folder = archived(write(tmp_path, SHOP, DATA), "name: shop\noffboarding: {by: ann}\n")
    for name in ("gone", "again"):
        (folder / "archive" / f"{name}.2026-12-14.yaml").write_text(f"name: {name}\n")
    write(folder, {"name": "again", "contact": "offboarding: done"})
    (folder / "teams" / "broken.yaml").write_text("name: broken\noffboarding: {")
    assert find_ended(folder, names) == ["broken", "gone", "shop"]
    assert find_ended(folder, ["data"]) == []
