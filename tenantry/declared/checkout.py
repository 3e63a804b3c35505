"""The files of a commit in a temporary folder, where they are read like any declared state."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dulwich.objects import Blob, Tree

from tenantry.declared import archive, files
from tenantry.declared.remote import Head
from tenantry.declared.repository import Repository
from tenantry.errors import DeclarationError

_LONGEST_NAME = 200  # in bytes; file systems take 255


def origin_of(repository: Repository, commit: str) -> str:
    """Return a commit with its branch and repository, for messages."""
    return f"commit {commit} of branch '{repository.branch}' of {repository.url}"


@contextmanager
def checked_out(repository: Repository, head: Head) -> Iterator[Path]:
    """Yield a temporary folder with the files of the declared state."""
    with TemporaryDirectory(prefix="tenantry-") as name:
        folder = Path(name)
        root = _tree(repository, head)
        _write(head, folder, [entry for entry in root.items() if entry.path == b"platform.yaml"])
        for entry in root.items():
            if entry.path == b"teams":
                _write_teams(head, folder / "teams", entry)
            if entry.path == archive.FOLDER.encode():
                _write_archive(head, folder / archive.FOLDER, entry)
        yield folder


def _tree(repository: Repository, head: Head) -> Tree:
    """Return the folder in the commit that contains `platform.yaml`."""
    tree = head.objects[head.commit.tree]
    for part in filter(None, repository.path.split("/")):
        assert isinstance(tree, Tree)
        entries = {entry.path: entry for entry in tree.items()}
        entry = entries.get(part.encode())
        if entry is None or not stat.S_ISDIR(entry.mode):
            text = (
                f"{origin_of(repository, head.id)} has no folder '{repository.path}': correct "
                "'path' in the Declared State block"
            )
            raise DeclarationError([text])
        tree = head.objects[entry.sha]
    assert isinstance(tree, Tree)
    if b"platform.yaml" not in tree:
        names = sorted(map(_name_of, tree.items()))
        found, hint = ", ".join(names), files.platform_hint(names)
        text = (
            f"{origin_of(repository, head.id)} has no platform.yaml in "
            f"{repository.path or 'its root'} (found: {found or 'nothing'}). "
            f"{hint[:1].upper() + hint[1:] or 'Add one'}, or set 'path' of the Declared State "
            "block to the folder that contains it"
        )
        raise DeclarationError([text])
    return tree


def _write_teams(head: Head, folder: Path, teams: Any) -> None:
    """Write the team files. Files that `load` only lists, such as those in sub-folders, are empty."""
    if not stat.S_ISDIR(teams.mode):
        folder.write_bytes(b"")  # `load` reports that it must be a folder
        return
    folder.mkdir()
    entries = _entries(head, teams)
    wanted = [each for each in entries if files.looks_like_yaml(_name_of(each))]
    _write(head, folder, wanted)
    written: set[bytes] = set()  # a tree may hold the same tree many times, at every level
    below = [(folder, each) for each in entries if each not in wanted]
    while below:
        parent, entry = below.pop()
        name = _name_of(entry)
        depth = len(parent.relative_to(folder).parts)
        if files.is_hidden(name) or "/" in name or len(entry.path) > _LONGEST_NAME or depth > 8:
            continue
        if stat.S_ISDIR(entry.mode) and entry.sha not in written:
            written.add(entry.sha)
            (parent / name).mkdir(exist_ok=True)
            below.extend((parent / name, each) for each in _entries(head, entry))
        elif parent != folder and files.looks_like_yaml(name):
            (parent / name).write_bytes(b"")


def _write_archive(head: Head, folder: Path, found: Any) -> None:
    """Write the files of the archive. Folders and links in it are not read."""
    folder.mkdir()
    entries = _entries(head, found) if stat.S_ISDIR(found.mode) else []
    wanted = (each for each in entries if files.looks_like_yaml(_name_of(each)))
    _write(head, folder, [each for each in wanted if stat.S_ISREG(each.mode)])


def _entries(head: Head, folder: Any) -> list[Any]:
    tree = head.objects[folder.sha]
    return list(tree.items()) if isinstance(tree, Tree) else []


def _name_of(entry: Any) -> str:
    return str(entry.path.decode(errors="replace"))


def _write(head: Head, folder: Path, entries: list[Any]) -> None:
    for entry in entries:
        name = _name_of(entry)
        if not stat.S_ISREG(entry.mode) or "/" in name:
            if folder.name != "teams":
                raise DeclarationError([f"{name}:1: is a link or a folder; it must be a file"])
            (folder / name.replace("/", "_")).mkdir()  # reading reports it as this team's fault
            continue
        blob = head.objects[entry.sha]
        assert isinstance(blob, Blob)
        (folder / name).write_bytes(blob.data)
