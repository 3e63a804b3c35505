"""Finds and reads the files of the declared state."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tenantry.declared import parsing
from tenantry.declared.faults import Document, describe
from tenantry.declared.parsing import Content
from tenantry.declared.yaml_nodes import FaultyText
from tenantry.errors import DeclarationError

_ENDINGS = (".yaml", ".yml")


def read_document(folder: Path, path: Path) -> Document:
    """Return the content of a file.

    Raises:
        DeclarationError: the file cannot be read, or is not a YAML mapping.
    """
    name = path.relative_to(folder).as_posix()
    try:
        content = read(path)
    except FaultyText as fault:
        text = fault.text
        if name == "platform.yaml" and (hint := platform_hint(_names(folder))):
            text = f"is missing; {hint}"
        raise DeclarationError([f"{name}:{fault.line}: {text}"]) from None
    if isinstance(content.data, Mapping):
        return Document(name, content.data, content.lines)
    what = "is empty" if content.data is None else f"contains {describe(content.data)}"
    raise DeclarationError([f"{name}:1: {what}; it must contain keys and values"])


def read(path: Path) -> Content:
    """Return the content of a file.

    Raises:
        FaultyText: the file cannot be read, or is not YAML.
    """
    try:
        if path.is_file() and path.stat().st_size > parsing.MAX_BYTES:
            raise parsing.too_large()
        return parsing.parse(path.read_bytes())
    except FileNotFoundError:
        if path.is_symlink():
            text = f"is a link to '{path.readlink()}', which does not exist"
            raise FaultyText(1, f"{text}; correct or remove the link") from None
        raise FaultyText(1, "is missing; every declared state needs this file") from None
    except IsADirectoryError:
        raise FaultyText(1, "is a link or a folder; it must be a file") from None
    except OSError as error:
        raise FaultyText(1, f"cannot be read: {error.strerror}") from None


def _entries(folder: Path) -> list[Path]:
    """Return the entries of `teams/`, sorted by name; an empty list if it cannot be read."""
    try:
        return sorted((folder / "teams").iterdir())
    except OSError:  # `check_folder` reports the reason
        return []


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def is_team_file(name: str) -> bool:
    """Return whether a file of this name in `teams/` declares a team.

    Temporary files of editors and macOS (`.#shop.yaml`, `._shop.yaml`, `#shop.yaml#`) do not.
    """
    return name.endswith(_ENDINGS) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is ignored."""
    return name.startswith((".", "#")) or name.endswith("~")


def team_files(folder: Path) -> list[Path]:
    """Return the files that declare the teams of a declared state, sorted by name."""
    return [path for path in _entries(folder) if is_team_file(path.name)]


def check_folder(folder: Path) -> list[str]:
    """Return the faults of `teams` if it is not a readable folder."""
    teams = folder / "teams"
    if teams.is_symlink() and not teams.exists():
        return [f"teams:1: is a link to '{teams.readlink()}', which does not exist"]
    if teams.exists() and not teams.is_dir():
        return ["teams:1: is a file; it must be a folder with one file per team"]
    try:
        list(teams.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"teams:1: cannot be read: {error.strerror}"]
    return []


def misplaced_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that look like team files but are not read, each with the remedy."""
    for path in _entries(folder):
        if not is_hidden(path.name):
            yield from _misplaced(path)


def _misplaced(path: Path) -> Iterator[tuple[Path, str]]:
    if looks_like_yaml(path.name) and not is_team_file(path.name):
        wanted = path.with_suffix(path.suffix.lower()).name
        yield path, f"would not be read: rename it to '{wanted}'"
    if path.is_dir() and not looks_like_yaml(path.name):
        # A link may lead to a parent folder, so only the direct entries of a link are listed.
        for below in sorted(path.glob("*") if path.is_symlink() else path.rglob("*")):
            parts = below.relative_to(path).parts
            if looks_like_yaml(below.name) and not any(map(is_hidden, parts)):
                yield (
                    below,
                    (
                        f"would not be read: move it to 'teams/{below.name}', or rename the folder "
                        f"to '.{path.name}' to keep it out"
                    ),
                )


def looks_like_yaml(name: str) -> bool:
    """Return whether a user would expect a file of this name to be read."""
    return name.lower().endswith(_ENDINGS) and not is_hidden(name)


def platform_hint(names: Iterable[str]) -> str:
    """Return the remedy if `platform.yaml` is missing and a file with a similar name exists."""
    near = sorted(name for name in names if name.lower() in ("platform.yaml", "platform.yml"))
    if not near or "platform.yaml" in near:
        return ""
    return f"rename '{near[0]}' to 'platform.yaml'"


def base_of(folder: Path) -> str:
    """Return a folder's path within its Git repository.

    It is empty for the root of a repository, and outside of a repository.
    """
    folder = folder.resolve()
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    path = folder.relative_to(root).as_posix()
    return "" if path == "." else path
