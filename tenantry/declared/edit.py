"""Changes of the declared state's own files, with their comments kept."""

import tempfile
from collections.abc import Callable, Collection
from io import StringIO
from pathlib import Path
from typing import Any

from tenantry.declared import files, parsing
from tenantry.declared.reading import read
from tenantry.declared.rewriting import round_trip
from tenantry.declared.state import Declaration
from tenantry.declared.writing import locked, write
from tenantry.errors import DeclarationError

Edit = Callable[[str, Any], None]
"""Changes one file in place, given its name (`platform.yaml`, `teams/shop.yaml`) and its content
as nested mappings and lists. Doing it twice does no more than doing it once."""


def edit(folder: Path, change: Edit) -> tuple[Declaration, list[Path]]:
    """Change the files of a declared state.

    Nothing is written unless all changed files are free of new faults and are on the disk under
    other names. If the process dies while it renames them, some are changed and some are not: then
    the same call changes the rest.

    Args:
        folder: the declared state.
        change: what is done to each file.

    Returns:
        The declared state after the change, and the files that were written.

    Raises:
        DeclarationError: the platform is faulty, or a file would be that is not; nothing was
            written.
        TenantryError: a file cannot be written, and why.
    """
    declaration, texts = _plan(folder, change)
    if not texts:
        return declaration, []
    with locked(folder):
        _, texts = _plan(folder, change)
        write(texts)
        return read(folder), list(texts)


def _plan(folder: Path, change: Edit) -> tuple[Declaration, dict[Path, str]]:
    """Return the declared state, and the new text of each file that changes.

    Raises:
        DeclarationError: the platform is faulty, or a file would be that is not.
    """
    declaration = read(folder)
    left_out = declaration.left_out
    faulty = {each.file for each in left_out}
    unreadable = {each.file for each in left_out if not each.document.data}
    texts = _changed(folder, change, unreadable)
    if texts:
        with tempfile.TemporaryDirectory(prefix="tenantry-") as name:
            trial = Path(name)
            (trial / "teams").mkdir()
            for path in (folder / "platform.yaml", *files.team_files(folder)):
                copy = trial / path.relative_to(folder)
                if path in texts:
                    copy.write_text(texts[path], encoding="utf-8")
                elif path.is_file():
                    copy.write_bytes(path.read_bytes())
            worse = [each for each in read(trial).left_out if each.file not in faulty]
            if worse:
                raise DeclarationError([fault for each in worse for fault in each.faults])
    return declaration, texts


def _changed(folder: Path, change: Edit, unreadable: Collection[str]) -> dict[Path, str]:
    """The new text of each file that the change makes another; but of those that are not YAML."""
    yaml = round_trip()
    texts = {}
    for path in (folder / "platform.yaml", *files.team_files(folder)):
        if path.relative_to(folder).as_posix() in unreadable:
            continue
        before = files.read(path).data
        document = yaml.load(path.read_text(encoding="utf-8-sig"))
        if document is None:
            continue
        change(path.relative_to(folder).as_posix(), document)
        body = StringIO()
        yaml.dump(document, body)
        if parsing.parse(body.getvalue()).data != before:
            texts[path] = body.getvalue()
    return texts
