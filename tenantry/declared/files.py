"""Reads one file of the declared state: its text as YAML, with the lines that its keys stand on."""

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tenantry.declared.faults import Document
from tenantry.declared.merge import plain
from tenantry.errors import DeclarationError

MALFORMED = (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
"""What the YAML parser raises for text that is none: of impossible dates, tags or depth too."""


def team_files(folder: Path) -> list[Path]:
    """Return the files of a declared state that declare a team each."""
    return sorted((folder / "teams").glob("*.y*ml"))


def read_document(folder: Path, path: Path) -> Document:
    """Return the content of a file.

    Raises:
        DeclarationError: it cannot be read, or is not a mapping in YAML.
    """
    name = str(path.relative_to(folder))
    try:
        data = YAML().load(path.read_text(encoding="utf-8"))
        plain(data)  # an alias may stand for what holds it
    except FileNotFoundError:
        fault = f"{name}:1: is missing; a declared state needs it"
    except IsADirectoryError:
        fault = f"{name}:1: is a link or a folder; it must be a file"
    except UnicodeDecodeError:
        fault = f"{name}:1: is not UTF-8 text"
    except OSError as error:
        fault = f"{name}:1: can't be read: {error.strerror}"
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        fault = f"{name}:{line}: is not YAML: {error.problem}"
    except MALFORMED as error:
        lines = str(error).splitlines() or [type(error).__name__]
        fault = f"{name}:1: is not YAML: {lines[0]}"
    else:
        if isinstance(data, Mapping):
            return Document(name, data)
        what = "is empty" if data is None else f"holds a {type(data).__name__}"
        fault = f"{name}:1: {what}; it must hold keys and values"
    raise DeclarationError([fault])
