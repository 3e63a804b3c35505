"""Changes of the declared state's own files, with their comments kept."""

import tempfile
from collections.abc import Callable, Collection
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tenantry.declared import files, parsing
from tenantry.declared.reading import read
from tenantry.declared.state import Declaration
from tenantry.errors import DeclarationError

Edit = Callable[[str, Any], None]
"""Changes one file in place, given its name (`platform.yaml`, `teams/shop.yaml`) and its content
as nested mappings and lists. Doing it twice does no more than doing it once."""


def edit(folder: Path, change: Edit) -> tuple[Declaration, list[Path]]:
    """Changes the files of a declared state, all of them or none.

    Args:
        folder: the declared state.
        change: what is done to each file.

    Returns:
        The declared state as it is then, and the files that were written.

    Raises:
        DeclarationError: the platform is faulty, or a file would be that is not; nothing was
            written.
        TenantryError: a file cannot be written, and why.
    """
    left_out = read(folder).left_out
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
        for path, text in texts.items():
            files.write(path, text)
    return read(folder), list(texts)


def _changed(folder: Path, change: Edit, unreadable: Collection[str]) -> dict[Path, str]:
    """The new text of each file that the change makes another; but of those that are not YAML."""
    yaml = YAML(pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096  # long lines stay as their author broke them
    yaml.indent(mapping=2, sequence=4, offset=2)
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
