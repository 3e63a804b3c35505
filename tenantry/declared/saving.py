"""Saves one team in a folder: proposes the change of its file, and writes it."""

from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tenantry.declared import files, parsing
from tenantry.declared.added_team import add_team
from tenantry.declared.changes import FieldChange, differences
from tenantry.declared.faults import Document, explain
from tenantry.declared.merge import Data, merge
from tenantry.declared.offboarding import KEY
from tenantry.declared.parsing import FaultyText
from tenantry.declared.reading import read
from tenantry.declared.restoring import check_not_recorded, without_record
from tenantry.declared.rewriting import dump, round_trip, update_mapping
from tenantry.declared.salvage import name_in_text, valid_name
from tenantry.declared.state import Declaration
from tenantry.declared.team import Identity, Team, TeamSettings
from tenantry.declared.writing import locked, write
from tenantry.errors import DeclarationError, TenantryError
from tenantry.wording import NONE

IfDeclared = Literal["refuse", "merge", "replace"]
"""How to handle a team whose file exists and declares it differently."""

DECIDE = "Decide which declaration is right, and declare the team again."
_SHOWN = 10


class AlreadyDeclared(TenantryError):
    """The team is already declared, and the call declares it differently."""


class ChangedSince(TenantryError):
    """Another process changed or removed the team file after this run had read it.

    Attributes:
        action: `changed` or `removed`.
        fields: the fields that differ, with their values in the file and in this call.
    """

    def __init__(self, proposal: "Proposal", theirs: Data | None, action: str) -> None:
        self.action = action
        self.fields = "; ".join(
            f"{each.field}: {_or_nothing(each.declared)} in the file, "
            f"{_or_nothing(each.given)} in this call"
            for each in [each.cut for each in differences(theirs or {}, proposal.content)][:5]
        )
        super().__init__(
            f"Team '{proposal.content['name']}' was {self.action} in {proposal.file} by another "
            f"process after this run had read it: {self.fields}. Nothing was written. {DECIDE}"
        )


class Proposal:
    """A team's declaration that was checked and is not saved yet.

    It is deliberately not a dataclass: Prefect would traverse it, including all teams in it.

    Attributes:
        declaration: the declared state with the team.
        content: the new content of the team file.
        before: the current content of the team file; None if the team is not declared.
        file: the team file, relative to the folder of the declared state.
        overwrites: whether the save replaces a file that cannot be read.
        commit: the commit that was read, if the declared state is in Git.
    """

    def __init__(
        self, declaration: Declaration, content: Data, before: Data | None, file: str
    ) -> None:
        self.declaration = declaration
        self.content = content
        self.before = before
        self.file = file
        self.overwrites = False
        self.commit = ""

    @property
    def team(self) -> Team:
        """The team with all defaults."""
        name, state = self.content["name"], self.declaration
        return state.teams[name] if name in state.teams else state.offboarding[name]

    @property
    def restores(self) -> bool:
        """Whether the save takes away the record of an offboarding."""
        return KEY in (self.before or {}) and KEY not in self.content

    @property
    def changes(self) -> list[FieldChange]:
        """The fields that the save changes in the file of an already declared team."""
        if self.before is None or is_same(self.before, self.content):
            return []
        return list(differences(normalize(self.before), normalize(self.content)))

    @property
    def writes(self) -> bool:
        """Whether the save writes the team file: it is new, unreadable, or changes."""
        return self.before is None or bool(self.changes)

    @property
    def step(self) -> str:
        """The change of the team file as one line with complete values, for comparison."""
        return repr([self.file, self.before, self.content])

    def refuse(self) -> None:
        """Check that the call does not change the file of an already declared team.

        Raises:
            AlreadyDeclared: the call changes the file; lists the fields that differ.
        """
        if changes := [each for each in self.changes if each.field != KEY]:
            shown = [each.cut for each in changes[:_SHOWN]]
            lines = [f"  {each.field}: {each.declared} → {each.given}" for each in shown]
            if len(changes) > _SHOWN:
                lines.append(f"  and {len(changes) - _SHOWN} more")
            raise AlreadyDeclared(
                f"Team '{self.content['name']}' is already declared in {self.file}, and this call "
                "declares it differently (declared → this call):\n" + "\n".join(lines) + "\n"
                "Nothing was changed. Send if_declared = 'merge' to merge the given fields into "
                "the file, 'replace' to replace the file by the given fields, or choose another "
                "name."
            )


def propose(
    folder: Path,
    team: Team,
    if_declared: IfDeclared = "replace",
    form: Document | None = None,
    declaration: Declaration | None = None,
) -> Proposal:
    """Return a team's declaration in a folder, checked together with all other teams.

    Args:
        folder: the declared state.
        team: the team, with only the fields that were given.
        if_declared: whether the given fields are merged into the file of a declared team, or
            replace it.
        form: the source of the team's fields, for messages.
        declaration: the folder's declared state, if it was already read.

    Raises:
        DeclarationError: lists all faults.
    """
    declaration = declaration or read(folder)
    path, before = find_team(folder, team.name)
    file = path.relative_to(folder).as_posix()
    if before is None:
        _check_not_another_teams_file(folder, path, team.name)
    overwrites = before is None and path.exists()
    if overwrites and if_declared != "replace":
        faults = [
            fault for each in declaration.left_out if each.file == file for fault in each.faults
        ]
        text = (
            f"team {team.name}: {file} exists and cannot be read. Correct it, or send if_declared "
            "= 'replace' to overwrite it:"
        )
        raise DeclarationError([text, *faults])
    if overwrites:
        check_not_recorded(declaration, team.name, file)
    content = file_content(team)
    if before is not None:
        active = without_record(declaration, team.name, file, before)
        restores_all = active is not before and content.keys() == {"name"}
        if if_declared == "merge" or restores_all:  # to restore a team, its name is enough
            content = merge(active, content)
            team = _validate(content, form)
    proposal = Proposal(add_team(declaration, team, form), content, before, file)
    proposal.overwrites = overwrites
    return proposal


def save(folder: Path, proposal: Proposal) -> Declaration:
    """Write a team file, unless it already has the same content.

    The folder is first read and checked again, under the lock that excludes other saves.

    Returns:
        The declared state with the team. Its origin is the team file.

    Raises:
        DeclarationError: since the proposal was made, another team claimed the same resource, or
            the platform became faulty. Nothing was written.
        ChangedSince: the file was changed since the proposal was made. It was not written.
        TenantryError: the file cannot be written.
    """
    with locked(folder) if proposal.writes else nullcontext():
        declaration, file = check_again(folder, proposal, read(folder))
        return replace(declaration, origin=str(file or save_team(folder, proposal.content)))


def check_again(
    folder: Path, proposal: Proposal, declaration: Declaration
) -> tuple[Declaration, Path | None]:
    """Check a proposal against the current declared state, immediately before it is saved.

    Args:
        folder: the declared state.
        proposal: the proposal.
        declaration: the folder's current declared state.

    Returns:
        The declared state with the team, and the team file if it already has the same content.

    Raises:
        DeclarationError: another team has claimed the same resource since.
        ChangedSince: the team file differs from the file that the proposal was made from.
    """
    content = proposal.content
    checked = add_team(declaration, Team.model_validate(content))
    file, now = find_team(folder, content["name"])
    if is_same(now, content):
        return checked, file
    appeared = now is None and file.exists() and not proposal.overwrites
    if now != proposal.before or appeared:
        raise ChangedSince(proposal, now, "changed" if file.exists() else "removed")
    return checked, None


def file_content(team: Team) -> Data:
    """Return the content of the team file: the given fields, identity first."""
    given = team.model_dump(mode="json", exclude_unset=True)
    return dict(sorted(given.items(), key=lambda item: item[0] in TeamSettings.model_fields))


def find_team(folder: Path, name: str) -> tuple[Path, Any]:
    """Return the file that declares a team and its content, or the new file's path and None.

    If several files declare the name, the file named after the team counts, as in reading.
    """
    for candidate in sorted(files.team_files(folder), key=lambda path: path.stem != name):
        content = _content(candidate) if _may_name(candidate, name) else None
        if isinstance(content, dict) and content.get("name") == name:
            return candidate, content
    return folder / "teams" / f"{name}.yaml", None


def _check_not_another_teams_file(folder: Path, path: Path, name: str) -> None:
    """Check that a team would not overwrite the file of another team.

    Raises:
        DeclarationError: the file that the team would be written to declares another team.
    """
    content = _content(path) if path.exists() else None
    said = content.get("name") if isinstance(content, dict) else name_in_text(path)
    other = valid_name(said)
    if other not in (None, name):
        file = path.relative_to(folder).as_posix()
        text = (
            f"team {name}: would be written to {file}, which declares team '{other}'. Rename that "
            f"file to 'teams/{other}.yaml', or choose another name. Nothing was changed."
        )
        raise DeclarationError([text])


def save_team(folder: Path, content: Data) -> Path:
    """Write a team file, unless its content is the same. Comments of unchanged fields are kept.

    The write is atomic: a reader sees either the old or the new file.

    Returns:
        The file that already declares the team, or `teams/<name>.yaml`.

    Raises:
        DeclarationError: `teams/<name>.yaml` declares another team.
        TenantryError: the file cannot be written.
    """
    path, before = find_team(folder, content["name"])
    if before is None:
        _check_not_another_teams_file(folder, path, content["name"])
    if before is not None and is_same(before, content):
        return path
    text = _text(path, before, content) if before is not None else dump(content)
    write({path: text})
    return path


def _or_nothing(value: str) -> str:
    return "nothing" if value == NONE else value


def _validate(content: Data, form: Document | None) -> Team:
    """Return the team of a merged file.

    Raises:
        DeclarationError: lists all faults.
    """
    try:
        return Team.model_validate(content)
    except ValidationError as error:
        document = form or Document(f"team {content['name']}", {})
        raise DeclarationError(explain(error, Team, document)) from None


def is_same(before: Any, after: Any) -> bool:
    """Return whether two contents declare the same team: the quotas `4` and `"4"` are equal."""
    return bool(normalize(before) == normalize(after))


def normalize(content: Any) -> Any:
    """Return a content for comparison: in the form that `file_content` writes, without nulls."""
    try:
        given = file_content(Team.model_validate(content))
    except ValidationError:
        return content
    # null is the default of the identity fields. In a team's settings it overrides a profile.
    return {k: v for k, v in given.items() if v is not None or k not in Identity.model_fields}


def _text(path: Path, before: Data, content: Data) -> str:
    """Return the new text of a file: the old text with only the differing values changed."""
    old = path.read_text(encoding="utf-8")
    yaml = round_trip()
    document = yaml.load(old)
    update_mapping(document, before, content)
    body = StringIO()
    yaml.dump(document, body)
    if is_same(parsing.parse(body.getvalue()).data, content):
        return body.getvalue()
    # Values shared by aliases cannot be changed one by one. Keep the comments at the top at least.
    lines = old.splitlines(keepends=True)
    head = lines[: next((i for i, x in enumerate(lines) if x[:1] != "#"), None)]
    return "".join(head) + dump(content)


def _may_name(path: Path, name: str) -> bool:
    """Return whether a file can declare a team of this name, without parsing it, which is slow.

    The name is in the text as it is, unless the text has an escape sequence with a backslash.
    """
    try:
        with path.open("rb") as file:
            text = file.read(parsing.MAX_BYTES + 1)
    except OSError:
        return False
    return name.encode() in text or b"\\" in text


def _content(path: Path) -> Any:
    """Return a file's content; None if it cannot be read, which `load` reports."""
    try:
        return files.read(path).data
    except FaultyText:
        return None
