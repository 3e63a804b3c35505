"""Where a migration keeps what a killed run must find again."""

import hashlib
import json
from typing import Any, Protocol

from tenantry.errors import TenantryError

FOLDER = "migration"


class Store(Protocol):
    """Where files are kept. Whoever runs the flows next must reach the same."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file. Where the store knows of owners, only its owner may read it."""


class Altered(TenantryError):
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
        Altered: it is not whole, or not what was sealed.
    """
    try:
        read = json.loads(data)
        content, told = read["content"], read["checksum"]
    except (ValueError, LookupError, TypeError):
        raise Altered(f"{what} is cut short, or no file of ours: it is not used.") from None
    if checksum(content) != told:
        text = f"{what} was altered: its checksum does not fit. It is not used."
        raise Altered(text)
    return content, told
