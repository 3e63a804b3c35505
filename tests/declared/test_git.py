"""The declared state in a real bare repository: read at a commit, saved by a push."""

import multiprocessing
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tenantry.declared import Team
from tenantry.declared.git import MAX_ATTEMPTS, load_commit, push_archive, push_edit
from tenantry.declared.offboarding import Offboarding
from tenantry.declared.offboarding_edits import record
from tenantry.declared.remote import Remote
from tenantry.declared.repository import Repository
from tenantry.errors import ChangedMeanwhile, DeclarationError, SystemRefused
from tests.support.git_server import TOKEN, USERNAME, BareRepository, HttpServer, git, push_team

pytestmark = pytest.mark.demand(
    "robust", "a real bare Git repository: load at a commit, push, lost races, conflicts"
)

SHOP = "# Ours since 2019\nname: shop\ncontact: '#shop'\n"


@pytest.fixture
def bare(tmp_path: Path) -> BareRepository:
    return BareRepository(tmp_path / "git")


@pytest.fixture
def server(bare: BareRepository, no_waiting: None) -> Iterator[HttpServer]:
    with HttpServer(bare.path.parent) as server:
        yield server


@pytest.fixture(params=["file", "http"])
def repository(request: Any, bare: BareRepository, server: HttpServer) -> Repository:
    """Return the repository, by file:// and by HTTP with a login."""
    return Repository(url=bare.url) if request.param == "file" else by_http(server)


def by_http(server: HttpServer, **more: Any) -> Repository:
    given = {"url": f"{server.url}/tenants.git", "username": USERNAME, "token": SecretStr(TOKEN)}
    return Repository.model_validate(given | more)


def team(name: str = "shop", **more: object) -> Team:
    return Team.model_validate({"name": name, **more})


@pytest.fixture
def somebody_pushes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Inject one concurrent push between Tenantry's fetch and its own push."""

    def prepare(push: Callable[[], Any]) -> None:
        ours = Remote.push
        pushes = iter([push])

        def after_somebody(self: Remote, *args: Any) -> None:
            for theirs in pushes:
                theirs()
            ours(self, *args)

        monkeypatch.setattr(Remote, "push", after_somebody)

    return prepare


# Read


def test_the_head_is_read(bare: BareRepository, repository: Repository) -> None:
    commit = bare.commit({"teams/shop.yaml": SHOP})

    declaration = load_commit(repository)

    assert declaration.teams["shop"].contact == "#shop"
    assert declaration.origin == f"commit {commit} of branch 'main' of {repository.url}"


def test_an_earlier_commit_is_read_exactly(bare: BareRepository, repository: Repository) -> None:
    commit = bare.commit({"teams/shop.yaml": SHOP})
    later = bare.commit({"teams/shop.yaml": None, "teams/data.yaml": "name: data\n"})

    declaration = load_commit(repository, commit)

    assert list(declaration.teams) == ["shop"]
    assert f"commit {commit} of" in declaration.origin
    assert declaration.origin.endswith(f"(the branch is now at {later})")


def test_another_branch_and_a_folder_inside_are_read(
    bare: BareRepository, repository: Repository
) -> None:
    git(bare.clone, "switch", "--quiet", "--create", "stage/two")
    bare.commit({"a/b/platform.yaml": "name: two\n", "a/b/teams/shop.yaml": SHOP})
    there = repository.model_copy(update={"branch": "stage/two", "path": "a/b"})

    assert list(load_commit(there).teams) == ["shop"]
    assert list(load_commit(repository).teams) == []


def test_an_older_commit_is_judged_by_the_policy_of_the_head(
    bare: BareRepository, repository: Repository
) -> None:
    """A flow that an operator starts for an old commit does not use the policy of that commit."""
    grant = "policy: {grants: [{teams: [shop], reason: then, groups: [finance]}]}\n"
    team = "name: shop\ngroup: finance\n"
    old = bare.commit({"platform.yaml": f"name: old\n{grant}", "teams/shop.yaml": team})
    assert list(load_commit(repository).teams) == ["shop"]
    limits = "policy: {limits: {max_robots: 2}}\n"
    new = bare.commit({"platform.yaml": f"name: new\n{limits}", "teams/shop.yaml": None})

    found = load_commit(repository, old)

    assert found.platform.name == "old"
    assert list(found.teams) == []
    (fault,) = found.faults
    assert fault.startswith("teams/shop.yaml:2: group: 'finance' is not the team's own group")
    assert f"platform.yaml at commit {new[:12]}:2" in fault


def test_without_a_readable_policy_at_the_head_no_older_commit_is_run(
    bare: BareRepository, repository: Repository
) -> None:
    old = bare.commit({"teams/shop.yaml": SHOP})
    bare.commit({"platform.yaml": "policy: {limits: {max_robots: many}}\n"})
    with pytest.raises(DeclarationError, match="The policy cannot be read, since"):
        load_commit(repository, old)


def test_the_head_comes_without_history(bare: BareRepository, server: HttpServer) -> None:
    for number in range(5):
        bare.commit({"teams/shop.yaml": f"name: shop\ncontact: '{number}'\n"})

    head = Remote(by_http(server)).fetch()

    commits = [each for each in head.objects if head.objects[each].type_name == b"commit"]
    assert commits == [head.commit.id]


# What can't be read


def test_an_unknown_commit_is_reported(bare: BareRepository, repository: Repository) -> None:
    with pytest.raises(SystemRefused) as refused:
        load_commit(repository, "12" * 20)

    assert str(refused.value) == (
        f"Git: fetch from {repository.url}: commit {'12' * 20} is not on branch 'main', which is "
        f"at {bare.first}: it was never pushed there, or the branch's history was rewritten. "
        "Give a commit of the branch, or none for its head."
    )


def test_a_commit_that_a_forced_push_removed_is_reported(
    bare: BareRepository, repository: Repository
) -> None:
    gone = bare.commit({"teams/shop.yaml": SHOP})
    git(bare.clone, "reset", "--quiet", "--hard", bare.first)
    bare.commit({"teams/data.yaml": "name: data\n"})

    with pytest.raises(SystemRefused, match=f"commit {gone} is not on branch 'main'"):
        load_commit(repository, gone)
    assert list(load_commit(repository).teams) == ["data"]


def test_an_unknown_branch_is_reported_with_the_existing_ones(repository: Repository) -> None:
    with pytest.raises(
        SystemRefused, match="branch 'trunk' does not exist; existing branches: main"
    ):
        load_commit(repository.model_copy(update={"branch": "trunk"}))


@pytest.mark.parametrize("by", ["file", "http"])
def test_an_empty_repository_is_reported(by: str, tmp_path: Path, no_waiting: None) -> None:
    bare = BareRepository(tmp_path / "empty", files={})
    with HttpServer(bare.path.parent) as server:
        repository = Repository(url=bare.url) if by == "file" else by_http(server)
        with pytest.raises(SystemRefused, match=r"the repository is empty\. Push a platform.yaml"):
            load_commit(repository)


def test_a_repository_without_a_declared_state_is_reported(tmp_path: Path) -> None:
    bare = BareRepository(tmp_path / "code", {"README.md": "Hello", "src/main.c": "int x;"})

    with pytest.raises(DeclarationError) as faulty:
        load_commit(Repository(url=bare.url))

    assert "has no platform.yaml in its root" in str(faulty.value)
    assert "(found: README.md, src)" in str(faulty.value)


def test_a_missing_folder_is_reported(repository: Repository) -> None:
    with pytest.raises(DeclarationError, match="has no folder 'tenants/eu': correct 'path'"):
        load_commit(repository.model_copy(update={"path": "tenants/eu"}))


def test_faults_are_reported_with_the_commit_and_the_line(
    bare: BareRepository, repository: Repository
) -> None:
    commit = bare.commit({"teams/shop.yaml": "name: shop\ncolour: red\n"})

    state = load_commit(repository)

    assert state.origin == f"commit {commit} of branch 'main' of {repository.url}"
    (fault,) = state.faults
    assert fault.startswith("teams/shop.yaml:2: colour: unknown key")


def test_a_faulty_platform_is_reported_with_the_commit_and_the_line(
    bare: BareRepository, repository: Repository
) -> None:
    commit = bare.commit({"platform.yaml": "colour: red\n"})

    with pytest.raises(DeclarationError) as faulty:
        load_commit(repository)

    assert faulty.value.faults[0] == (
        f"commit {commit} of branch 'main' of {repository.url} is faulty:"
    )
    assert faulty.value.faults[1].startswith("platform.yaml:1: colour: unknown key")


def test_a_link_is_not_followed(bare: BareRepository, repository: Repository) -> None:
    (bare.clone / "teams").mkdir()
    (bare.clone / "teams" / "passwd.yaml").symlink_to("/etc/passwd")
    bare.commit({})

    (left_out,) = load_commit(repository).left_out
    assert left_out.names == ("passwd",)
    assert left_out.faults[0].startswith("teams/passwd.yaml:1: is a link or a folder")


# Save


def test_a_new_team_is_pushed_as_a_commit(bare: BareRepository, repository: Repository) -> None:
    declaration = push_team(repository, team(contact="#shop"))

    assert bare.log == ["Tenantry <tenantry@localhost>: Declare team shop", bare.log[1]]
    assert bare.show("teams/shop.yaml") == "name: shop\ncontact: '#shop'\n"
    assert declaration.origin == f"commit {bare.head} of branch 'main' of {repository.url}"
    assert declaration.teams == load_commit(repository).teams
    assert git(bare.path, "fsck", "--full", "--strict") == ""


def test_only_the_teams_file_changes_and_its_first_comments_stay(
    bare: BareRepository, repository: Repository
) -> None:
    bare.commit({"teams/a-shop.yml": SHOP, "docs/note.txt": "x", "run.sh": "#!/bin/sh\n"})
    (bare.clone / "run.sh").chmod(0o755)
    bare.commit({})

    push_team(repository, team(contact="#new", harbor={"storage_quota": "10Gi"}))

    assert bare.log[0].endswith(": Change team shop: contact, harbor")
    assert bare.show("teams/a-shop.yml") == (
        "# Ours since 2019\nname: shop\ncontact: '#new'\nharbor:\n  storage_quota: 10Gi\n"
    )
    assert git(bare.path, "diff", "--name-only", "main~1", "main") == "teams/a-shop.yml"


def test_the_author_is_as_the_block_says(bare: BareRepository, repository: Repository) -> None:
    push_team(repository.model_copy(update={"author": "Böt <bot@example.com>"}), team())

    assert bare.log[0] == "Böt <bot@example.com>: Declare team shop"


def test_a_file_with_the_same_content_makes_no_commit(
    bare: BareRepository, repository: Repository
) -> None:
    commit = bare.commit({"teams/shop.yaml": SHOP})

    declaration = push_team(repository, team(contact="#shop"))

    assert bare.head == commit
    assert commit in declaration.origin


def test_a_dry_run_checks_and_pushes_nothing(bare: BareRepository, repository: Repository) -> None:
    declaration = push_team(repository, team(), dry_run=True)

    assert "shop" in declaration.teams
    assert bare.head == bare.first
    with pytest.raises(DeclarationError, match="'gold' is not a profile"):
        push_team(repository, team(profile="gold"), dry_run=True)


def test_a_team_that_would_be_at_fault_is_not_pushed(
    bare: BareRepository, repository: Repository
) -> None:
    commit = bare.commit({"teams/data.yaml": "name: data\ngroup: common\n"})

    with pytest.raises(DeclarationError, match="'common' is also declared by team 'data'"):
        push_team(repository, team(group="common"))
    assert bare.head == commit


def test_a_team_is_saved_to_the_folder_and_branch_of_the_block(tmp_path: Path) -> None:
    bare = BareRepository(tmp_path / "git", {"eu/platform.yaml": "name: eu\n", "README": "x"})

    push_team(Repository(url=bare.url, path="eu"), team())

    assert bare.show("eu/teams/shop.yaml") == "name: shop\n"
    assert bare.show("README") == "x\n"


# Two at once


def test_a_lost_race_is_run_again_on_the_new_head(
    bare: BareRepository, repository: Repository, somebody_pushes: Any
) -> None:
    somebody_pushes(lambda: bare.commit({"teams/data.yaml": "name: data\n"}, "Add data"))

    declaration = push_team(repository, team())

    assert [line.split(": ", 1)[1] for line in bare.log] == [
        "Declare team shop",
        "Add data",
        "By hand",
    ]
    assert list(declaration.teams) == ["data", "shop"]


def test_the_same_team_changed_otherwise_meanwhile_is_a_conflict(
    bare: BareRepository, repository: Repository, somebody_pushes: Any
) -> None:
    before = bare.commit({"teams/shop.yaml": SHOP})
    somebody_pushes(lambda: bare.commit({"teams/shop.yaml": "name: shop\ncontact: '#theirs'\n"}))

    with pytest.raises(SystemRefused) as refused:
        push_team(repository, team(contact="#ours", display_name="Shop"))

    assert str(refused.value) == (
        f"Git: push to {repository.url}: team 'shop' was changed by another push between commit "
        f"{before}, which this run has read, and commit {bare.head}, the head of branch 'main': "
        "contact: '#theirs' in the file, '#ours' in this call; display_name: nothing in the file, "
        "Shop in this call. "
        "Nothing was pushed. Decide which declaration is right, and declare the team again."
    )
    assert bare.show("teams/shop.yaml") == "name: shop\ncontact: '#theirs'\n"


def test_the_same_team_taken_away_meanwhile_is_a_conflict(
    bare: BareRepository, repository: Repository, somebody_pushes: Any
) -> None:
    bare.commit({"teams/shop.yaml": SHOP})
    somebody_pushes(lambda: bare.commit({"teams/shop.yaml": None}))

    with pytest.raises(SystemRefused, match="'shop' was removed by another push"):
        push_team(repository, team(contact="#ours"))


def test_the_same_concurrent_change_of_a_team_is_not_a_conflict(
    bare: BareRepository, repository: Repository, somebody_pushes: Any
) -> None:
    somebody_pushes(lambda: bare.commit({"teams/shop.yaml": SHOP}, "Theirs"))

    declaration = push_team(repository, team(contact="#shop"))

    assert bare.log[0] == "Ann <ann@example.com>: Theirs"
    assert bare.head in declaration.origin


def test_a_forced_push_meanwhile_is_built_upon(
    bare: BareRepository, repository: Repository, somebody_pushes: Any
) -> None:
    bare.commit({"teams/data.yaml": "name: data\n"}, "Gone")

    def rewrite() -> None:
        git(bare.clone, "reset", "--quiet", "--hard", bare.first)
        bare.commit({"teams/blog.yaml": "name: blog\n"}, "Instead")

    somebody_pushes(rewrite)
    declaration = push_team(repository, team())

    assert list(declaration.teams) == ["blog", "shop"]
    assert len(bare.log) == 3


def test_a_race_that_is_lost_each_time_ends(
    bare: BareRepository, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    ours = Remote.push

    def always_late(self: Remote, *args: Any) -> None:
        tries.append(bare.commit({"note": str(len(tries))}))
        ours(self, *args)

    monkeypatch.setattr(Remote, "push", always_late)
    with pytest.raises(ChangedMeanwhile, match="another push to 'main' came first"):
        push_team(repository, team())
    assert len(tries) == min(MAX_ATTEMPTS, 4), "the tests' own bound"


def test_writers_of_different_teams_all_land(bare: BareRepository, server: HttpServer) -> None:
    """Uses threads and the server's own locks, without mocks."""
    names = [f"team-{number}" for number in range(4)]

    with stamina.set_testing(True, attempts=MAX_ATTEMPTS), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: push_team(by_http(server), team(name)), names))

    assert list(load_commit(by_http(server)).teams) == names
    assert len(bare.log) == 5
    assert git(bare.path, "fsck", "--full", "--strict", "--no-dangling") == ""


def _push_from_a_process(url: str, contact: str, start: Any, results: Any) -> None:
    repository = Repository(url=url, username=USERNAME, token=SecretStr(TOKEN))
    ours = Remote.push

    def together(self: Remote, *args: Any) -> None:
        start.wait()
        ours(self, *args)

    Remote.push = together  # type: ignore[method-assign, assignment]
    try:
        push_team(repository, team(contact=contact))
        results.put((contact, "landed"))
    except SystemRefused as error:
        results.put((contact, str(error)))


@pytest.mark.long
def test_of_two_processes_that_change_one_team_one_wins(
    bare: BareRepository, server: HttpServer
) -> None:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    start = context.Barrier(2)
    url = f"{server.url}/tenants.git"
    processes = [
        context.Process(target=_push_from_a_process, args=(url, contact, start, results))
        for contact in ("#one", "#two")
    ]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)

    (winner,) = (contact for contact, said in found.items() if said == "landed")
    (loser,) = set(found) - {winner}
    assert bare.show("teams/shop.yaml") == f"name: shop\ncontact: '{winner}'\n"
    assert f"contact: '{winner}' in the file, '{loser}' in this call" in found[loser]
    assert len(bare.log) == 2


def _die_before_the_push(url: str) -> None:
    Remote.push = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    push_team(Repository(url=url), team())


@pytest.mark.long
def test_killed_between_commit_and_push_nothing_is_half_done(
    bare: BareRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_die_before_the_push, args=(bare.url,))
    process.start()
    process.join(60)

    assert process.exitcode == -signal.SIGKILL
    assert bare.head == bare.first
    assert git(bare.path, "fsck", "--unreachable") == ""
    push_team(Repository(url=bare.url), team())
    assert len(bare.log) == 2


def test_no_folder_is_left(
    bare: BareRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "tmp"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    repository = Repository(url=bare.url)

    push_team(repository, team())
    load_commit(repository)
    bare.pull()
    bare.commit({"platform.yaml": "name: [\n"})
    with pytest.raises(DeclarationError):
        load_commit(repository)

    assert list(room.iterdir()) == []


CONTACTS = st.sampled_from(["#a", "#b", "#c"])


@pytest.mark.long
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    before=st.none() | CONTACTS,
    theirs=st.none() | CONTACTS,
    other=st.booleans(),
    ours=CONTACTS,
)
def test_no_concurrent_change_is_lost(
    before: str | None, theirs: str | None, other: bool, ours: str
) -> None:
    """Any concurrent change is kept, or was the same, or is reported."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        bare = BareRepository(Path(folder))

        def declare(contact: str | None) -> dict[str, str | None]:
            there = (bare.clone / "teams" / "shop.yaml").exists()
            if contact is None:
                return {"teams/shop.yaml": None} if there else {}
            return {"teams/shop.yaml": f"name: shop\ncontact: '{contact}'\n"}

        if files := declare(before):
            bare.commit(files)
        push = Remote.push
        late = iter([1])

        def somebody_first(self: Remote, *args: Any) -> None:
            for _ in late:
                files = declare(theirs) | ({"teams/data.yaml": "name: data\n"} if other else {})
                changed = theirs != before or other
                if changed:
                    bare.commit(files)
            push(self, *args)

        patch.setattr(Remote, "push", somebody_first)
        late_conflict = ours != before and theirs not in (before, ours)
        try:
            push_team(Repository(url=bare.url), team(contact=ours))
        except SystemRefused:
            assert late_conflict
            expected = theirs
        else:
            assert not late_conflict
            expected = ours
        patch.undo()
        teams = load_commit(Repository(url=bare.url)).teams
        assert (teams["shop"].contact if "shop" in teams else None) == expected
        assert ("data" in teams) == (other and ours != before)


# Edits of several files


def renamed(name: str, document: Any) -> None:
    """Change the display names of the platform and of a team."""
    document["name" if name == "platform.yaml" else "display_name"] = "Changed"


def test_an_edit_of_several_files_is_one_commit_and_the_second_time_none(
    bare: BareRepository, repository: Repository
) -> None:
    bare.commit({"teams/shop.yaml": SHOP})

    declaration = push_edit(repository, renamed, "Call it otherwise")

    assert declaration.platform.name == "Changed"
    assert declaration.teams["shop"].display_name == "Changed"
    assert bare.show("teams/shop.yaml").startswith("# Ours since 2019\n")
    before = bare.head
    assert push_edit(repository, renamed, "Call it otherwise").platform.name == "Changed"
    assert bare.head == before


def test_an_edit_that_loses_a_race_is_made_again_on_the_new_head(
    bare: BareRepository,
    repository: Repository,
    somebody_pushes: Callable[[Callable[[], Any]], None],
) -> None:
    bare.commit({"teams/shop.yaml": SHOP})
    somebody_pushes(lambda: bare.commit({"teams/data.yaml": "name: data\n"}))

    declaration = push_edit(repository, renamed, "Call it otherwise")

    assert {team.display_name for team in declaration.teams.values()} == {"Changed"}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_teams_that_is_a_file_is_a_fault(
    bare: BareRepository, repository: Repository
) -> None:
    """Earlier, a push failed with an exception of the Git library."""
    bare.commit({"teams": "name: shop\n"})
    for call in (load_commit, lambda repository: push_team(repository, team())):
        with pytest.raises(DeclarationError, match=r"teams:1: is a file; it must be a folder"):
            call(repository)


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("teams/sub/x.yaml", r"teams/sub/x\.yaml:1: would not be read: move it to 'teams/x\.yaml'"),
        ("teams/x.YAML", r"teams/x\.YAML:1: would not be read: rename it to 'x\.yaml'"),
    ],
)
def test_silently_wrong_file_that_would_not_be_read_is_a_fault_in_git_too(
    name: str, fault: str, bare: BareRepository, repository: Repository
) -> None:
    bare.commit({name: "name: data\n"})
    assert [found for found in load_commit(repository).faults if re.match(fault, found)]


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
def test_message_for_a_misnamed_platform_file_names_it_in_git_too(
    bare: BareRepository, repository: Repository
) -> None:
    bare.commit({"platform.yaml": None, "platform.yml": "name: Test\n"})
    with pytest.raises(DeclarationError, match=r"Rename 'platform\.yml' to 'platform\.yaml'"):
        load_commit(repository)


# Offboarding


BEGUN = Offboarding(
    since=datetime(2026, 11, 30, tzinfo=UTC), by="ann", remove_after=date(2099, 1, 1)
)


def test_a_removed_team_moves_to_the_archive_in_one_commit(
    bare: BareRepository,
    repository: Repository,
    somebody_pushes: Callable[[Callable[[], Any]], None],
) -> None:
    bare.commit({"teams/shop.yaml": SHOP})
    push_edit(repository, record("shop", BEGUN), "Record the offboarding of team shop")
    bare.pull()
    before = len(bare.log)
    somebody_pushes(lambda: bare.commit({"teams/data.yaml": "name: data\n"}))

    removed, kept = datetime(2026, 12, 14, tzinfo=UTC), {"harbor/project/team-shop": "images"}
    for _ in range(2):  # the second time nothing is left to move
        push_archive(repository, "shop", BEGUN, removed, kept, {})

    assert len(bare.log) == before + 2
    assert bare.log[0].endswith(": Archive team shop, which was removed")
    assert bare.show("archive/shop.2026-12-14.yaml").startswith(SHOP)
    state = load_commit(repository)
    assert state.names == {"data"}
    assert state.archive[0].projects == {"team-shop"}


def test_the_last_team_can_be_archived(bare: BareRepository, repository: Repository) -> None:
    bare.commit({"teams/shop.yaml": SHOP})
    push_edit(repository, record("shop", BEGUN), "Record the offboarding of team shop")
    push_archive(repository, "shop", BEGUN, datetime(2026, 12, 14, tzinfo=UTC), {}, {})
    assert load_commit(repository).names == frozenset()


def test_an_older_commit_restores_no_team_that_was_offboarded_since(
    bare: BareRepository, repository: Repository
) -> None:
    old = bare.commit({"teams/shop.yaml": SHOP, "teams/data.yaml": "name: data\n"})
    push_edit(repository, record("shop", BEGUN), "Record the offboarding of team shop")
    found = load_commit(repository, old)
    assert list(found.teams) == ["data"]
    assert list(found.offboarding) == ["shop"]
    push_archive(repository, "shop", BEGUN, datetime(2026, 12, 14, tzinfo=UTC), {}, {})
    found = load_commit(repository, old)
    assert list(found.teams) == ["data"]
    assert "was removed (archive/shop.2026-12-14.yaml)" in found.faults[0]
