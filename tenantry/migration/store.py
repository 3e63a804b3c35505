"""Where a migration keeps what a killed run must find again."""

import hashlib
import json
from typing import Any

from tenantry.errors import NotEffective, TenantryError
from tenantry.files import FileStore

FOLDER = "migration"


class CorruptFile(TenantryError):
    """A file is not as it was written: cut short, or changed by somebody."""


def checksum(content: Any) -> str:
    """The SHA-256 of a document, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: dict[str, Any]) -> bytes:
    """A document with its checksum, as it is kept."""
    return json.dumps({"checksum": checksum(content), "content": content}, indent=1).encode()


def unsealed(data: bytes, what: str) -> tuple[dict[str, Any], str]:
    """A document that was sealed, and its checksum.

    Raises:
        CorruptFile: it is not whole, or not what was sealed.
    """
    try:
        read = json.loads(data)
        content, told = read["content"], read["checksum"]
    except (ValueError, LookupError, TypeError):
        raise CorruptFile(f"{what} is cut short, or no file of ours: it is not used.") from None
    if checksum(content) != told:
        text = f"{what} was altered: its checksum does not fit. It is not used."
        raise CorruptFile(text)
    return content, told


def keep(store: FileStore, name: str, content: dict[str, Any]) -> str:
    """Write a document with its checksum, read it back, and return the checksum.

    The stored content is compared, not the object that it was made from: a field that is not
    stored makes no difference.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    store.write(name, sealed(content))
    try:
        _, found = unsealed(store.read(name) or b"", name)
    except CorruptFile:
        found = ""
    if found != (wanted := checksum(content)):
        call = f"write {name} to {store.name}"
        raise NotEffective("store", call, "it reads back as something else")
    return wanted
