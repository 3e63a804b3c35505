"""Writes what was imported to a folder: all files or none, and never over a file of somebody else."""

from pathlib import Path

from tenantry.declared import writing
from tenantry.errors import TenantryError
from tenantry.importing.importer import Imported


def write(imported: Imported, folder: Path) -> list[Path]:
    """Write the files of an import, and return those that were written.

    Args:
        imported: the import.
        folder: the declared state. It is created if it does not exist.

    Raises:
        TenantryError: a file appeared or changed since the import has read the folder, or cannot be
            written. Nothing was written.
    """
    if not imported.files:
        return []
    try:
        (folder / "teams").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TenantryError(f"{folder} cannot be created: {error.strerror}.") from None
    with writing.locked(folder):
        texts = {folder / name: text for name, text in imported.files.items()}
        new = [path for path in texts if not path.exists()]
        for path in texts:
            before = imported.before.get(path.relative_to(folder).as_posix())
            if _text(path) != before:
                raise TenantryError(
                    f"{path} was changed after the import had read it. Nothing was written. Run the "
                    "import again."
                )
        try:
            writing.write(texts)
        except TenantryError:
            for path in new:  # all files or none
                path.unlink(missing_ok=True)
            raise
    return list(texts)


def _text(path: Path) -> str | None:
    """Return the text of a file; None if it does not exist.

    Raises:
        TenantryError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TenantryError(f"{path} cannot be read: {reason}. Nothing was written.") from None
