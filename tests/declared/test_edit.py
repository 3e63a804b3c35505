"""The declared state's own files are changed with their comments, all of them or none."""

from pathlib import Path
from typing import Any

import pytest

from tenantry.declared.edit import edit
from tenantry.errors import DeclarationError
from tests.bench import write

TEXT = """\
# Who we are.
name: "Test"   # in quotes
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
    assert edit(folder, named)[1] == []


def test_what_would_be_faulty_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
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
        ({"new": {"replaces": "old"}}, "'old' is no other"),
        ({"old": {}, "new": {"replaces": "old"}}, "needs a 'connection'"),
    ],
)
def test_a_provider_that_replaces_none_is_a_fault(
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
