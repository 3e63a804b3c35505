"""Edits files of the declared state, and keeps their comments."""

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
"""A function that changes one file's content in place. It gets the file's name (`platform.yaml`,
`teams/shop.yaml`) and its content as nested mappings and lists. It must be idempotent."""


def edit(folder: Path, change: Edit) -> tuple[Declaration, list[Path]]:
    """Change the files of a declared state.

    Files are written only if the change adds no faults. If the process dies while it replaces the
    files, only some of them are changed; the same call then changes the rest.

    Args:
        folder: the declared state.
        change: the function that changes each file.

    Returns:
        The declared state after the change, and the files that were written.

    Raises:
        DeclarationError: the platform is faulty, or the change would make a file faulty. Nothing
            was written.
        TenantryError: a file cannot be written.
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
        DeclarationError: the platform is faulty, or the change would make a file faulty.
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
    """Return the new text of each file that the change modifies; skip files that are not YAML."""
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
