"""A team written into the declared state's folder."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tenantry import declared
from tenantry.declared import Team, saving, writing
from tenantry.declared.proposal import ChangedSince, IfDeclared, Proposal, file_content
from tenantry.errors import DeclarationError, SystemUnavailable, TenantryError
from tests.support.harness import SHOP, file_names, granted, write

pytestmark = pytest.mark.demand(
    "reality", "saved files: the content, the remaining comments, no other team's file is changed"
)


def save_team(folder: Path, team: Team) -> Path:
    return saving.save_team(folder, file_content(team))


def team(**more: object) -> Team:
    return Team.model_validate({"name": "shop", **more})


def test_a_new_team_gets_a_file_of_its_name_with_only_the_given_fields(tmp_path: Path) -> None:
    path = save_team(write(tmp_path), team(contact="#shop", robots={"ci": None}))
    assert path == tmp_path / "teams" / "shop.yaml"
    assert path.read_text() == "name: shop\ncontact: '#shop'\nrobots:\n  ci:\n"
    assert declared.load(tmp_path).teams["shop"].active_robots.keys() == {"pull"}


def test_a_team_is_written_if_the_folder_of_teams_does_not_exist_yet(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "teams").rmdir()
    save_team(tmp_path, team())
    assert list(declared.load(tmp_path).teams) == ["shop"]


def test_a_saved_team_is_loaded_unchanged(tmp_path: Path) -> None:
    given = team(
        display_name="yes",
        members=["1e3", "null", "a: b"],
        harbor={"storage_quota": "10Gi", "retention": {"rules": [{"latest_pushed": 3}]}},
        namespace={"labels": {"on": "off", "version": "1.10"}, "mesh": False},
    )
    save_team(write(tmp_path), given)
    loaded = declared.load(tmp_path).teams["shop"]
    assert loaded == declared.complete(declared.load(tmp_path).platform, given)
    assert loaded.members == ["1e3", "null", "a: b"]
    assert loaded.namespace.labels == {"on": "off", "version": "1.10"}


@pytest.mark.parametrize(
    "text",
    ["name: shop\ncontact: '#shop'\n", '# Ours\ncontact: "#shop" # the channel\nname: shop\n'],
)
def test_a_file_with_the_same_content_is_not_written(text: str, tmp_path: Path) -> None:
    write(tmp_path, text)
    path = tmp_path / "teams" / "shop.yaml"
    before = path.stat()
    assert save_team(tmp_path, team(contact="#shop")) == path
    assert path.read_text() == text
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


HEAD = "# yaml-language-server: $schema=../team.schema.json\n# Ours since 2019\n"


def test_comments_of_what_stays_are_kept(tmp_path: Path) -> None:
    write(
        tmp_path,
        f"{HEAD}name: shop # the web shop\n"
        "contact: old # ask Ann first\n"
        "harbor:\n  # agreed in May\n  storage_quota: 10Gi\n  public: true\n",
    )
    path = save_team(tmp_path, team(contact="new", harbor={"storage_quota": "10Gi"}))
    assert path.read_text() == (
        f"{HEAD}name: shop # the web shop\n"
        "contact: new # ask Ann first\n"
        "harbor:\n  # agreed in May\n  storage_quota: 10Gi\n"
    )


def test_if_an_alias_shares_a_changed_value_only_the_first_comments_stay(
    tmp_path: Path,
) -> None:
    text = "name: shop\nnamespace: &ns\n  labels: {a: b}\nfurther_namespaces:\n  dev: *ns\n"
    write(tmp_path, f"{HEAD}{text}")
    given: dict[str, Any] = {"namespace": {"labels": {"a": "c"}}}
    given["further_namespaces"] = {"dev": {"labels": {"a": "b"}}}
    path = save_team(tmp_path, team(**given))
    assert path.read_text().startswith(HEAD)
    assert declared.load(tmp_path).teams["shop"].namespace.labels == {"a": "c"}
    assert declared.load(tmp_path).teams["shop"].further_namespaces["dev"].labels == {"a": "b"}


def test_a_number_and_its_text_declare_the_same(tmp_path: Path) -> None:
    text = "name: shop\nnamespace: {quota: {requests.cpu: 4}}\nmembers:\n"
    write(tmp_path, text)
    path = save_team(tmp_path, team(namespace={"quota": {"requests.cpu": "4"}}))
    assert path.read_text() == text


def test_a_team_is_found_in_a_file_of_another_name(tmp_path: Path) -> None:
    write(tmp_path, {"name": "data"}, platform=granted("shop", files=["team-1.yaml"]))
    (tmp_path / "teams" / "team-1.yaml").write_text("name: shop\n")
    path = save_team(tmp_path, team(contact="new"))
    assert path == tmp_path / "teams" / "team-1.yaml"
    files = sorted(each.name for each in (tmp_path / "teams").iterdir())
    assert files == ["data.yaml", "team-1.yaml"]
    assert declared.load(tmp_path).teams["shop"].contact == "new"


@pytest.mark.parametrize(
    "text", ['name: "sh\\x6fp"\n', 'name: "sh\\\n  op"\n', "{name: &x shop, contact: *x}\n"]
)
def test_a_team_is_found_however_its_name_is_written(text: str, tmp_path: Path) -> None:
    write(tmp_path, text)
    path, content = saving.find_team(tmp_path, "shop")
    assert (path.name, content["name"]) == (*file_names(text), "shop")


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """The new content has another inode, so open readers keep the old content."""
    write(tmp_path, SHOP)
    path = tmp_path / "teams" / "shop.yaml"
    with path.open() as reader:
        assert reader.read(4) == "name"
        save_team(tmp_path, team(contact="new"))
        assert reader.read() == ": shop\n"
    assert "new" in path.read_text()
    assert [each.name for each in (tmp_path / "teams").iterdir()] == ["shop.yaml"]


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, SHOP)
    folder = tmp_path / "teams"
    (folder / "data.yaml").mkdir()  # cannot be replaced by a file
    with pytest.raises(
        TenantryError, match=r"teams/data\.yaml cannot be written: Is a directory\."
    ):
        save_team(tmp_path, Team.model_validate({"name": "data"}))
    assert sorted(each.name for each in folder.iterdir()) == ["data.yaml", "shop.yaml"]


def test_a_faulty_file_of_another_team_does_not_keep_a_team_from_being_saved(
    tmp_path: Path,
) -> None:
    write(tmp_path, "name: [data\n")
    path = save_team(tmp_path, team())
    assert path.read_text() == "name: shop\n"


@pytest.mark.parametrize("text", ["name: web\n", "name: web\ncolour: red\n", "name: web\n{\n"])
@pytest.mark.parametrize("if_declared", ["refuse", "merge", "replace"])
def test_a_team_is_never_written_over_the_file_of_another_team(
    text: str, if_declared: IfDeclared, tmp_path: Path
) -> None:
    path = write(tmp_path) / "teams" / "shop.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=r"teams/shop\.yaml.* declares team 'web'"):
        saving.propose(tmp_path, team(), if_declared)
    with pytest.raises(DeclarationError, match="declares team 'web'"):
        save_team(tmp_path, team())  # the file came after the proposal
    assert path.read_text() == text


def test_of_two_files_with_one_name_the_one_named_after_the_team_is_changed(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    for name in ("aaa", "shop"):
        (tmp_path / "teams" / f"{name}.yaml").write_text(f"name: shop\ncontact: '#{name}'\n")
    proposal = saving.propose(tmp_path, team(contact="#new"), "replace")
    assert proposal.file == "teams/shop.yaml"
    assert [change.declared for change in proposal.changes] == ["'#shop'"]
    saving.save(tmp_path, proposal)
    assert declared.read(tmp_path).teams["shop"].contact == "#new"


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        (None, True),
        ("name: [shop\n", True),
        ("name: shop\nmembers: [ann]\n", True),
        ("name: shop\n", False),
    ],
    ids=["no file", "unreadable", "differs", "same"],
)
def test_a_proposal_knows_whether_it_writes_the_file(
    text: str | None, writes: bool, tmp_path: Path
) -> None:
    """Only then is an approval required before something is deleted."""
    path = write(tmp_path) / "teams" / "shop.yaml"
    if text is not None:
        path.write_text(text)
    assert saving.propose(tmp_path, team(), "replace").writes is writes


def on_host(name: str, host: str = "web.example.com") -> Team:
    return Team.model_validate(
        {"name": name, "routes": {"web": {"host": host, "paths": [{"service": "web", "port": 80}]}}}
    )


CLAIMED = "host 'web.example.com' is also declared by team 'shop'"


def test_of_two_teams_that_claim_one_host_the_second_is_refused_when_it_is_saved(
    tmp_path: Path,
) -> None:
    """Each team was planned before the other one was saved."""
    write(tmp_path)
    first, second = (saving.propose(tmp_path, on_host(name)) for name in ("shop", "web"))
    saving.save(tmp_path, first)
    with pytest.raises(DeclarationError, match=CLAIMED) as refused:
        saving.save(tmp_path, second)
    assert str(refused.value).startswith("team web: ")
    assert [each.name for each in (tmp_path / "teams").iterdir()] == ["shop.yaml"]
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["platform.yaml", "teams"]


def test_a_save_waits_for_a_save_of_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    first, second = (saving.propose(tmp_path, on_host(name)) for name in ("shop", "web"))
    is_checked, may_write = threading.Event(), threading.Event()
    save_now = saving.save_team

    def save_later(folder: Path, content: Any, current: Any) -> Path:
        is_checked.set()
        assert may_write.wait(60)
        return save_now(folder, content, current)

    monkeypatch.setattr(saving, "save_team", save_later)
    with ThreadPoolExecutor() as pool:
        ahead = pool.submit(saving.save, tmp_path, first)
        assert is_checked.wait(60)
        behind = pool.submit(saving.save, tmp_path, second)
        with pytest.raises(TimeoutError):
            behind.result(timeout=0.3)
        may_write.set()
        assert list(ahead.result().teams) == ["shop"]
        with pytest.raises(DeclarationError, match=CLAIMED):
            behind.result()
    assert [each.name for each in (tmp_path / "teams").iterdir()] == ["shop.yaml"]


def test_concurrent_saves_of_many_processes_have_no_conflicts(tmp_path: Path) -> None:
    write(tmp_path)
    proposals = [
        saving.propose(tmp_path, on_host(f"team-{number}", f"host-{number // 2}.example.com"))
        for number in range(12)
    ]

    def save(proposal: Proposal) -> bool:
        try:
            return bool(saving.save(tmp_path, proposal))
        except DeclarationError:
            return False

    with ThreadPoolExecutor(len(proposals)) as pool:
        saved = list(pool.map(save, proposals))
    assert [saved[first : first + 2].count(True) for first in range(0, 12, 2)] == [1] * 6
    assert len(declared.load(tmp_path).teams) == 6


def test_a_save_is_refused_while_another_process_does_not_finish_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.setattr(writing, "LOCK_TIMEOUT", 0.1)
    proposal = saving.propose(tmp_path, team())
    with writing.locked(tmp_path), pytest.raises(SystemUnavailable, match="Nothing was written"):
        saving.save(tmp_path, proposal)
    saving.save(tmp_path, proposal)
    assert (tmp_path / "teams" / "shop.yaml").exists()


def test_a_team_that_another_process_changed_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path, SHOP) / "teams" / "shop.yaml"
    proposal = saving.propose(tmp_path, team(contact="#ours"), "replace")
    path.write_text("name: shop\ncontact: '#theirs'\n")
    with pytest.raises(ChangedSince) as refused:
        saving.save(tmp_path, proposal)
    assert str(refused.value) == (
        "Team 'shop' was changed in teams/shop.yaml by another process after this run had read it: "
        "contact: '#theirs' in the file, '#ours' in this call. Nothing was written. Decide which "
        "declaration is right, and declare the team again."
    )
    assert "theirs" in path.read_text()


def test_an_unchanged_team_can_be_saved_in_a_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, SHOP)
    proposal = saving.propose(tmp_path, team(), "replace")
    monkeypatch.setattr(writing, "_try_lock", lambda path: pytest.fail("the folder was written to"))
    assert saving.save(tmp_path, proposal).origin == str(tmp_path / "teams" / "shop.yaml")
