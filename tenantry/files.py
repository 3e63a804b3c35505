"""Files that hold what only their owner may read: reports, audit trails, snapshots and journals."""

import os
import tempfile
from pathlib import Path, PurePosixPath

from tenantry.errors import TenantryError


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and its folder if it does not exist.

    A reader sees the old content or the new one, also if the disk is full or the process is killed
    meanwhile.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # its mode is 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_name(name: str, what: str) -> str:
    """Return the name of a file in a store, if it cannot lead out of the store.

    Args:
        name: the name, with `/` between folders.
        what: what the name is, for the message.

    Raises:
        TenantryError: it is absolute, or has a part such as `..`.
    """
    parts = PurePosixPath(name).parts
    is_inside = (
        name.isprintable()
        and not name.startswith(("/", "~"))
        and "\\" not in name
        and ".." not in parts
        and "://" not in name
        and bool(parts)
    )
    if not is_inside:
        raise TenantryError(
            f"{what} {name!r} is not the name of a file in the store. Give the path from the root "
            "of the store, such as people.csv, without '..' and without a leading '/'."
        )
    return name
