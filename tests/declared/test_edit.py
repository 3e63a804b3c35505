"""Edits of the declared state's files: all or none are written, and comments are kept."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tenantry.declared import writing
from tenantry.declared.edit import edit
from tenantry.errors import DeclarationError, TenantryError
from tests.support.harness import write

TEXT = """\
# Who we are.
name: "Test"   # in quotes
id: "test"
keycloak:
  groups:
    ops: {}    # ours
"""


def test_comments_and_quotes_stay_and_the_second_time_writes_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, {"name": "shop"}, platform=TEXT)

    def named(name: str, document: Any) -> None:
        if name == "teams/shop.yaml":
            document["profile"] = None
        else:
            document["name"] = "Other"

    state, written = edit(folder, named)

    assert [path.name for path in written] == ["platform.yaml", "shop.yaml"]
    assert state.platform.name == "Other"
    text = (folder / "platform.yaml").read_text()
    assert "# Who we are." in text
    assert "# ours" in text
    assert 'id: "test"' in text
    assert edit(folder, named)[1] == []


def test_an_edit_that_adds_faults_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    folder = write(tmp_path, {"name": "shop"}, platform=TEXT)
    before = (folder / "platform.yaml").read_text()

    def broken(name: str, document: Any) -> None:
        document["nonsense"] = True

    with pytest.raises(DeclarationError, match="nonsense"):
        edit(folder, broken)

    assert (folder / "platform.yaml").read_text() == before


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        ({"new": {"replaces": "old"}}, "'old' is not another provider"),
        ({"old": {}, "new": {"replaces": "old"}}, "needs a 'connection'"),
    ],
)
def test_a_provider_that_replaces_no_other_provider_is_a_fault(
    providers: Any, said: str, tmp_path: Path
) -> None:
    from tenantry.declared import load

    folder = write(tmp_path, platform={"name": "T", "keycloak": {"external_providers": providers}})

    with pytest.raises(DeclarationError, match=said):
        load(folder)


@pytest.mark.parametrize("text", ["{", "name: bad\ncolour: red\n"])
def test_a_faulty_team_file_keeps_no_other_file_from_being_changed(
    text: str, tmp_path: Path
) -> None:
    """A migration declares its switch while a team's file is faulty."""
    folder = write(tmp_path, {"name": "shop"}, platform=TEXT)
    (folder / "teams" / "bad.yaml").write_text(text)

    def named(name: str, document: Any) -> None:
        if name == "platform.yaml":
            document["name"] = "Other"

    state, written = edit(folder, named)

    assert [path.name for path in written] == ["platform.yaml"]
    assert (state.platform.name, list(state.teams)) == ("Other", ["shop"])
    assert [each.file for each in state.left_out] == ["teams/bad.yaml"]
    assert (folder / "teams" / "bad.yaml").read_text() == text


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def commented(name: str, document: Any) -> None:
    document["contact" if name.startswith("teams/") else "name"] = "changed"


@pytest.mark.parametrize("call", ["mkstemp", "fsync", "fchmod", "fdopen", "lock"])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_full_disk_changes_no_file(
    call: str, turn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "state", {"name": "shop"}, {"name": "data"}, platform=TEXT)
    before = contents(folder)
    owner, name = {
        "mkstemp": (tempfile, "mkstemp"),
        "lock": (writing, "_try_lock"),
    }.get(call, (os, call))
    work, calls = getattr(owner, name), iter(range(100))

    def fail(*given: Any, **named: Any) -> Any:
        # The folder in which the change is checked first has no prefix of ours on its files.
        if next(calls) == (0 if call == "lock" else turn):
            if call == "fdopen":
                os.close(given[0])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return work(*given, **named)

    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(TenantryError, match=r"No space left on device\. Nothing was changed\."):
        edit(folder, commented)
    monkeypatch.undo()

    assert contents(folder) == before
    assert len(edit(folder, commented)[1]) == 3


def test_a_change_that_stops_between_two_files_is_completed_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, {"name": "shop"}, {"name": "data"}, platform=TEXT)
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == "shop.yaml":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(TenantryError, match=r"platform\.yaml, .*data\.yaml\. Run it again"):
        edit(folder, commented)
    monkeypatch.undo()

    assert sorted(contents(folder)) == ["platform.yaml", "teams/data.yaml", "teams/shop.yaml"]
    assert [path.name for path in edit(folder, commented)[1]] == ["shop.yaml"]
