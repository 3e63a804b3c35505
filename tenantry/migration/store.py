"""Files with a checksum, in the store of a migration's journal, snapshot and records."""

import hashlib
import json
from typing import Any

from tenantry.errors import NotEffective, TenantryError
from tenantry.files import FileStore

FOLDER = "migration"


class CorruptFile(TenantryError):
    """A file that is not as it was written: truncated, or changed by hand."""


def checksum(content: Any) -> str:
    """Return the SHA-256 of a document, independent of the order of its keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def load_sealed(data: bytes, description: str) -> tuple[dict[str, Any], str]:
    """Return the document in a file with a checksum, and the checksum.

    Args:
        data: the content of the file.
        description: the file, as a message names it.

    Raises:
        CorruptFile: the file is truncated, or its content does not have its checksum.
    """
    try:
        document = json.loads(data)
        content, expected = document["content"], document["checksum"]
    except (ValueError, LookupError, TypeError):
        raise CorruptFile(
            f"{description} is truncated, or it is not a file of Tenantry. It is not used."
        ) from None
    if checksum(content) != expected:
        raise CorruptFile(f"{description} was changed: its checksum differs. It is not used.")
    return content, expected


def save_sealed(store: FileStore, name: str, content: dict[str, Any]) -> str:
    """Write a document with its checksum, read it back, and return the checksum.

    The stored content is compared, not the object that it was made from: a field that is not
    stored makes no difference.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    wanted = checksum(content)
    sealed = json.dumps({"checksum": wanted, "content": content}, indent=1)
    store.write(name, sealed.encode())
    try:
        _, found = load_sealed(store.read(name) or b"", name)
    except CorruptFile:
        found = ""
    if found != wanted:
        call = f"write {name} to {store.name}"
        raise NotEffective("store", call, "the store returns something else than was written")
    return wanted
