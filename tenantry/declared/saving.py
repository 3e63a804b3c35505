"""Declares one team in a folder: what would change in its file, and writing that."""

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
from tenantry.declared.parsing import FaultyText
from tenantry.declared.reading import read
from tenantry.declared.rewriting import dump, round_trip, update_mapping
from tenantry.declared.salvage import name_in_text, valid_name
from tenantry.declared.state import Declaration
from tenantry.declared.team import Identity, Team, TeamSettings
from tenantry.declared.writing import locked, write
from tenantry.errors import DeclarationError, TenantryError
from tenantry.wording import NONE

IfDeclared = Literal["refuse", "merge", "replace"]
"""What becomes of the file of a team that is declared already, and otherwise."""

DECIDE = "Decide what the team is to be, and declare it again."
_SHOWN = 10


class AlreadyDeclared(TenantryError):
    """The team is declared already, and otherwise than the call declares it."""


class ChangedSince(TenantryError):
    """Another process changed or removed the team's file after this run had read it.

    Attributes:
        what: what happened: `changed` or `removed`.
        fields: the fields that differ, with their values there and in the proposal.
    """

    def __init__(self, proposal: "Proposal", theirs: Data | None, what: str) -> None:
        self.what = what
        self.fields = "; ".join(
            f"{each.field}: {_or_nothing(each.declared)} there, {_or_nothing(each.given)} here"
            for each in [each.cut for each in differences(theirs or {}, proposal.content)][:5]
        )
        super().__init__(
            f"Team '{proposal.content['name']}' was {self.what} in {proposal.file} by another "
            f"process after this run had read it: {self.fields}. Nothing was written. {DECIDE}"
        )


class Proposal:
    """A team's declaration that was checked and is not saved yet.

    It is not a dataclass on purpose: Prefect walks through those, with all teams in them.

    Attributes:
        declaration: the declared state with the team.
        content: what the team's file is to say.
        before: what its file says; None if the team is not declared.
        file: the team's file, relative to the folder of the declared state.
        overwrites: whether it replaces a file that cannot be read.
        commit: the commit that was read, where the declared state is in Git.
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
        return self.declaration.teams[self.content["name"]]

    @property
    def changes(self) -> list[FieldChange]:
        """The fields that change in the file of a team that is declared already."""
        if self.before is None or is_same(self.before, self.content):
            return []
        return list(differences(normal(self.before), normal(self.content)))

    @property
    def writes(self) -> bool:
        """Whether the team's file is to say something else, or is not there, or cannot be read."""
        return self.before is None or bool(self.changes)

    @property
    def step(self) -> str:
        """What happens to the team's file as a line with all values in full: to compare."""
        return repr([self.file, self.before, self.content])

    def refuse(self) -> None:
        """Refuse to change the file of a team that is declared already.

        Raises:
            AlreadyDeclared: the call changes it; with each field that differs.
        """
        if changes := self.changes:
            shown = [each.cut for each in changes[:_SHOWN]]
            lines = [f"  {each.field}: {each.declared} → {each.given}" for each in shown]
            if len(changes) > _SHOWN:
                lines.append(f"  and {len(changes) - _SHOWN} more")
            raise AlreadyDeclared(
                f"Team '{self.content['name']}' is already declared in {self.file}, and this call "
                "declares it differently (declared → this call):\n" + "\n".join(lines) + "\n"
                "Nothing was changed. Send if_declared = 'merge' to add the given fields to the "
                "file, 'replace' to let the file hold only the given fields, or choose another "
                "name."
            )


def propose(
    folder: Path,
    team: Team,
    if_declared: IfDeclared = "replace",
    form: Document | None = None,
    declaration: Declaration | None = None,
) -> Proposal:
    """Return how a team would be declared in a folder, checked together with all other teams.

    Args:
        folder: the declared state.
        team: the team, with only the fields that were given.
        if_declared: whether the given fields are merged into the file of a declared team, or
            replace it.
        form: where the team's fields are from, for messages.
        declaration: the folder's declared state, if it was read already.

    Raises:
        DeclarationError: with every fault.
    """
    declaration = declaration or read(folder)
    path, before = find_team(folder, team.name)
    file = path.relative_to(folder).as_posix()
    if before is None:
        _refuse_file_of_another(folder, path, team.name)
    overwrites = before is None and path.exists()
    if overwrites and if_declared != "replace":
        faults = [
            fault for each in declaration.left_out if each.file == file for fault in each.faults
        ]
        text = (
            f"team {team.name}: {file} exists and cannot be read. Correct it, or send if_declared "
            "= 'replace' to write it again:"
        )
        raise DeclarationError([text, *faults])
    content = as_declared(team)
    if if_declared == "merge" and before is not None:
        content = merge(before, content)
        team = _validate(content, form)
    proposal = Proposal(add_team(declaration, team, form), content, before, file)
    proposal.overwrites = overwrites
    return proposal


def save(folder: Path, proposal: Proposal) -> Declaration:
    """Write a team's file, unless it says the same already.

    The folder is read and checked again right before, while no other process can save a team.

    Returns:
        The declared state with the team; its origin is the team's file.

    Raises:
        DeclarationError: the team claims what another team claims by now, or the platform is
            faulty by now; nothing is written.
        ChangedSince: the file was changed since the proposal was made; it stays as it is.
        TenantryError: the file cannot be written, and why.
    """
    with locked(folder) if proposal.writes else nullcontext():
        declaration, file = check_again(folder, proposal, read(folder))
        return replace(declaration, origin=str(file or save_team(folder, proposal.content)))


def check_again(
    folder: Path, proposal: Proposal, declaration: Declaration
) -> tuple[Declaration, Path | None]:
    """Check a proposal against the declared state as it is right before the proposal is saved.

    Args:
        folder: the declared state.
        proposal: what is to be saved.
        declaration: the folder's declared state, as it was just read.

    Returns:
        The declared state with the team, and the team's file if it says the same already.

    Raises:
        DeclarationError: the team claims what another team claims by now.
        ChangedSince: the team's file says something else than the proposal was made from.
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


def as_declared(team: Team) -> Data:
    """What the team's file says: what was given, who the team is before what it gets."""
    given = team.model_dump(mode="json", exclude_unset=True)
    return dict(sorted(given.items(), key=lambda item: item[0] in TeamSettings.model_fields))


def find_team(folder: Path, name: str) -> tuple[Path, Any]:
    """The file that declares a team and what it says, or the file that would, and None.

    Of several files with one name it is the one that is named after the team, as in reading.
    """
    for candidate in sorted(files.team_files(folder), key=lambda path: path.stem != name):
        content = _content(candidate) if _may_name(candidate, name) else None
        if isinstance(content, dict) and content.get("name") == name:
            return candidate, content
    return folder / "teams" / f"{name}.yaml", None


def _refuse_file_of_another(folder: Path, path: Path, name: str) -> None:
    """Refuse to write a team over the file of another team.

    Raises:
        DeclarationError: the file that the team would be written to declares another one.
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
    """Write a team's file, unless it says the same already; comments of what stays are kept.

    The write is atomic: a reader sees the old file or the new one.

    Returns:
        The file: the one that already declares the team, or `teams/<name>.yaml`.

    Raises:
        DeclarationError: `teams/<name>.yaml` declares another team.
        TenantryError: the file cannot be written, and why.
    """
    path, before = find_team(folder, content["name"])
    if before is None:
        _refuse_file_of_another(folder, path, content["name"])
    if before is not None and is_same(before, content):
        return path
    text = _text(path, before, content) if before is not None else dump(content)
    write({path: text})
    return path


def _or_nothing(value: str) -> str:
    return "nothing" if value == NONE else value


def _validate(content: Data, form: Document | None) -> Team:
    """The team of a merged file.

    Raises:
        DeclarationError: with every fault.
    """
    try:
        return Team.model_validate(content)
    except ValidationError as error:
        document = form or Document(f"team {content['name']}", {})
        raise DeclarationError(explain(error, Team, document)) from None


def is_same(before: Any, after: Any) -> bool:
    """Whether two contents declare the same team: `4` and `"4"` are one quota."""
    return bool(normal(before) == normal(after))


def normal(content: Any) -> Any:
    """Return a content so that it can be compared: as `as_declared` writes it, without nulls."""
    try:
        given = as_declared(Team.model_validate(content))
    except ValidationError:
        return content
    # No value is the default of each of these; among a team's settings it overrides a profile's.
    return {k: v for k, v in given.items() if v is not None or k not in Identity.model_fields}


def _text(path: Path, before: Data, content: Data) -> str:
    """The new text of a file: as it is, with the differing values changed in their places."""
    old = path.read_text(encoding="utf-8")
    yaml = round_trip()
    document = yaml.load(old)
    update_mapping(document, before, content)
    body = StringIO()
    yaml.dump(document, body)
    if is_same(parsing.parse(body.getvalue()).data, content):
        return body.getvalue()
    # Values that aliases share cannot be changed one by one: the comments at the top stay.
    lines = old.splitlines(keepends=True)
    head = lines[: next((i for i, x in enumerate(lines) if x[:1] != "#"), None)]
    return "".join(head) + dump(content)


def _may_name(path: Path, name: str) -> bool:
    """Return whether a file can declare a team of this name; parsing it takes far longer.

    Only an escape, with a backslash, can hide a name from its text.
    """
    try:
        with path.open("rb") as file:
            text = file.read(parsing.MAX_BYTES + 1)
    except OSError:
        return False
    return name.encode() in text or b"\\" in text


def _content(path: Path) -> Any:
    """A file's content; None where it can't be read: `load` says what is wrong with it."""
    try:
        return files.read(path).data
    except FaultyText:
        return None
