"""Saves one team in a folder: proposes the change of its file, and writes it."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tenantry.declared import file_states, files, parsing
from tenantry.declared.added_team import add_team
from tenantry.declared.faults import Document, explain
from tenantry.declared.merge import Data, merge
from tenantry.declared.proposal import ChangedSince, IfDeclared, Proposal, file_content, is_same
from tenantry.declared.reading import read
from tenantry.declared.restoring import check_not_recorded, without_record
from tenantry.declared.rewriting import dump, round_trip, update_mapping
from tenantry.declared.salvage import name_in_text, valid_name
from tenantry.declared.state import Declaration
from tenantry.declared.team import Team
from tenantry.declared.writing import locked, write
from tenantry.declared.yaml_nodes import FaultyText
from tenantry.errors import DeclarationError


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
    seen = None
    if declaration is None:
        seen = file_states.observe(folder)
        declaration = read(folder)
    path, before = find_team(folder, team.name, declaration)
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
    added = add_team(declaration, team, form)
    proposal = Proposal(added, content, before, file, base=declaration, seen=seen)
    proposal.overwrites = overwrites
    return proposal


def save(folder: Path, proposal: Proposal) -> Declaration:
    """Write a team file, unless it already has the same content.

    The team is first checked again, under the lock that excludes other saves. The folder is read
    again if a file has changed since the proposal was made.

    Returns:
        The declared state with the team. Its origin is the team file.

    Raises:
        DeclarationError: since the proposal was made, another team claimed the same resource, or
            the platform became faulty. Nothing was written.
        ChangedSince: the file was changed since the proposal was made. It was not written.
        TenantryError: the file cannot be written.
    """
    with locked(folder) if proposal.writes else nullcontext():
        current = proposal.base if _is_unchanged(folder, proposal) else read(folder)
        declaration, file = check_again(folder, proposal, current)
        path = file or save_team(folder, proposal.content, current)
        return replace(declaration, origin=str(path))


def _is_unchanged(folder: Path, proposal: Proposal) -> bool:
    """Return whether the files are certainly the ones that the proposal was made from."""
    seen = proposal.seen
    return seen is not None and seen.is_settled and file_states.observe(folder) == seen


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
    file, now = find_team(folder, content["name"], declaration)
    if is_same(now, content):
        return checked, file
    appeared = now is None and file.exists() and not proposal.overwrites
    if now != proposal.before or appeared:
        raise ChangedSince(proposal, now, "changed" if file.exists() else "removed")
    return checked, None


def find_team(folder: Path, name: str, declaration: Declaration | None = None) -> tuple[Path, Any]:
    """Return the file that declares a team and its content, or the new file's path and None.

    If several files declare the name, the file named after the team counts, as in reading.

    Args:
        folder: the declared state.
        name: the name of the team.
        declaration: the folder's current declared state, if it was already read.
    """
    for candidate, content in _contents(folder, name, declaration):
        if isinstance(content, dict) and content.get("name") == name:
            return candidate, content
    return folder / "teams" / f"{name}.yaml", None


def _contents(
    folder: Path, name: str, declaration: Declaration | None
) -> Iterator[tuple[Path, Any]]:
    """Yield the team files that may declare a team, and their contents."""
    if declaration is None or declaration.documents is None:
        paths = sorted(files.team_files(folder), key=lambda path: path.stem != name)
        yield from ((path, _content(path)) for path in paths if _may_name(path, name))
        return
    documents = [
        *declaration.documents.teams.values(),
        *(each.document for each in declaration.left_out),
    ]
    read = {folder / each.name: each.data for each in documents if each.data}
    yield from sorted(read.items(), key=lambda item: (item[0].stem != name, item[0]))


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


def save_team(folder: Path, content: Data, declaration: Declaration | None = None) -> Path:
    """Write a team file, unless its content is the same. Comments of unchanged fields are kept.

    The write is atomic: a reader sees either the old or the new file.

    Args:
        folder: the declared state.
        content: the content of the team file.
        declaration: the folder's current declared state, if it was already read.

    Returns:
        The file that already declares the team, or `teams/<name>.yaml`.

    Raises:
        DeclarationError: `teams/<name>.yaml` declares another team.
        TenantryError: the file cannot be written.
    """
    path, before = find_team(folder, content["name"], declaration)
    if before is None:
        _check_not_another_teams_file(folder, path, content["name"])
    if before is not None and is_same(before, content):
        return path
    text = _text(path, before, content) if before is not None else dump(content)
    write({path: text})
    return path


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
