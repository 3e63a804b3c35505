"""Imports that end with one message and write nothing, and files that stay as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.declared.repository import Repository
from tenantry.errors import DeclarationError, TenantryError
from tenantry.importing import Imported, Recognition, import_state, write
from tenantry.importing.git import push_import
from tenantry.sandbox.keycloak.builtin import new_realm
from tests.support.git_server import BareRepository, git
from tests.support.harness import Bench, Prepare, connections
from tests.support.unmark import remove_marks

TEAMS = ({"name": "shop"}, {"name": "data"})


def unmarked(bench: Bench) -> None:
    """Onboard two teams, and remove all marks."""
    bench.declare(*TEAMS)
    for team in bench.teams:
        bench.onboard(team.name)
    remove_marks(bench.systems)


@pytest.fixture
def bench(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench on two teams without marks."""
    return begin(unmarked)


def imported(bench: Bench, folder: Path | None = None, **options: Any) -> Imported:
    """Import from the bench's systems."""
    sandbox = bench.sandbox
    return import_state(connections(sandbox), into=folder, clock=sandbox.clock.now, **options)


@pytest.mark.parametrize("system", ["harbor", "keycloak", "kubernetes"])
@pytest.mark.parametrize("status", [403, 500])
def test_a_system_that_cannot_be_read_ends_the_import(
    bench: Bench, tmp_path: Path, system: str, status: int
) -> None:
    def fault(asked: str, method: str, path: str) -> int | None:
        return status if asked == system and method == "GET" and "members" not in path else None

    bench.sandbox.fault_for = fault
    with pytest.raises(TenantryError) as error:
        imported(bench, tmp_path / "new")
    assert "\n" not in str(error.value).strip()
    assert not (tmp_path / "new").exists()


def test_an_import_only_reads(bench: Bench, tmp_path: Path) -> None:
    bench.sandbox.requests.reset()
    imported(bench, tmp_path / "new")
    writes = {each.method for each in bench.sandbox.requests.counts() if each.is_write}
    paths = {each.template for each in bench.sandbox.requests.counts() if each.is_write}
    assert writes <= {"POST"}
    assert all("token" in path or "/c/login" in path for path in paths), paths


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"recognition": Recognition(patterns=("team",))}, "{team}"),
        ({"realm": "a/b"}, "realm: 'a/b'"),
        ({"platform_id": "Not valid"}, "id"),
        ({"parent_group": "/x"}, "parent_group: '/x'"),
    ],
)
def test_a_faulty_argument_is_refused_before_any_call(
    bench: Bench, options: dict[str, Any], text: str
) -> None:
    bench.sandbox.requests.reset()
    with pytest.raises(DeclarationError, match=text.replace("{", r"\{")):
        imported(bench, **options)
    assert bench.sandbox.requests.total() == 0


def test_an_unknown_realm_and_several_realms_are_named(bench: Bench) -> None:
    with pytest.raises(TenantryError, match="nosuch"):
        imported(bench, realm="nosuch")
    bench.sandbox.keycloak.realms["other"] = new_realm("other", {"enabled": True})
    with pytest.raises(DeclarationError, match=r"other, platform.*--realm"):
        imported(bench)


def test_nothing_is_written_if_a_file_cannot_be(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    found = imported(bench, folder)
    (folder / "teams" / "shop.yaml").mkdir(parents=True)  # appeared since
    with pytest.raises(TenantryError):
        write(found, folder)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []


def test_a_file_that_appeared_is_not_overwritten(bench: Bench, tmp_path: Path) -> None:
    found = imported(bench, tmp_path)
    (tmp_path / "teams").mkdir()
    (tmp_path / "teams" / "shop.yaml").write_text("name: shop\n")
    with pytest.raises(TenantryError, match="was changed after the import"):
        write(found, tmp_path)
    assert (tmp_path / "teams" / "shop.yaml").read_text() == "name: shop\n"
    assert not (tmp_path / "platform.yaml").exists()


def test_a_platform_file_without_teams_is_completed(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text("# ours\nname: Mine   # by hand\nharbor:\n  registry: registry.example.com\n")
    write(imported(bench, tmp_path), tmp_path)

    text = file.read_text()
    assert text.startswith(
        "# ours\nname: Mine   # by hand\nharbor:\n  registry: registry.example.com\n"
    )
    assert "realm: platform" in text
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.yaml")}
    assert imported(bench, tmp_path).files == {}
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.yaml")} == before


def test_a_faulty_declared_state_is_not_completed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").write_text("nmae: x\n")
    with pytest.raises(DeclarationError, match=r"platform.yaml:1"):
        imported(bench, tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DeclarationError, match="is not a folder"):
        imported(bench, file)


def test_an_import_into_git_creates_a_branch(bench: Bench, tmp_path: Path) -> None:
    server = BareRepository(tmp_path / "git")
    repository = Repository(url=server.url)
    head = server.head

    found, place = push_import(
        repository, "review", lambda folder: imported(bench, folder), "Import existing teams"
    )

    assert set(found.teams) == {"shop", "data"}
    assert "branch 'review'" in place
    assert server.head == head
    files = git(server.path, "ls-tree", "-r", "--name-only", "review").split()
    assert files == ["platform.yaml", "teams/data.yaml", "teams/shop.yaml"]
    with pytest.raises(TenantryError, match="branch 'review' exists already"):
        push_import(repository, "review", lambda folder: imported(bench, folder), "Again")
    with pytest.raises(DeclarationError, match="branch"):
        push_import(repository, "../x", lambda folder: imported(bench, folder), "Again")
