"""The file store of a run: a storage block of Prefect."""

from typing import Any

from prefect.blocks.core import Block
from prefect.filesystems import LocalFileSystem, WritableFileSystem

from tasks.prefect_api import needed
from tenantry.errors import TenantryError
from tenantry.files import check_name, write_private


class NoStore(TenantryError):
    """The storage block does not exist."""


class BlockStore:
    """A storage block of Prefect as a `tenantry.files.FileStore`."""

    def __init__(self, name: str) -> None:
        """
        Args:
            name: type and name of the block, such as `local-file-system/drift`.

        Raises:
            NoStore: the block does not exist.
            TenantryError: the block does not store files.
        """
        self.name = name
        try:
            with needed(f"read block '{name}'"):
                block: Any = Block.load(name)
        except ValueError as error:
            text = (
                f"There is no block '{name}' to store files in ({str(error).splitlines()[0]}). "
                "Create it in the UI under Blocks, or name another block in the run's parameters as "
                "type/name, such as local-file-system/drift."
            )
            raise NoStore(text) from None
        # A WritableFileSystem can be read, too, although it is not a ReadableFileSystem.
        if not isinstance(block, WritableFileSystem):
            text = f"Block '{name}' is not a storage block: it cannot store files."
            raise TenantryError(text)
        self._block: Any = block

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if the file does not exist.

        Raises:
            TenantryError: the name leads out of the store, or the file cannot be read.
        """
        check_name(name, f"Block '{self.name}':")
        try:
            content: bytes = self._block.read_path(name)
            return content
        except Exception as error:  # noqa: BLE001 each type of block has its own
            if _says_missing(error):
                return None
            raise self._failed("read", name, error) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        On a disk, only the account that runs the flows may read it. In a bucket, the bucket's own
        policy applies.

        Raises:
            TenantryError: the name leads out of the store, or the file cannot be written.
        """
        check_name(name, f"Block '{self.name}':")
        try:
            if isinstance(self._block, LocalFileSystem):
                write_private(self._block._resolve_path(name), content)
            else:
                self._block.write_path(name, content)
        except Exception as error:  # noqa: BLE001 each type of block has its own
            raise self._failed("write", name, error) from None

    def _failed(self, what: str, name: str, error: Exception) -> TenantryError:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return TenantryError(f"Cannot {what} {name} in block '{self.name}': {reason}")


def _says_missing(error: Exception) -> bool:
    """Return whether an error means that a file does not exist: each type of block has its own."""
    text = f"{type(error).__name__} {error}"
    return isinstance(error, FileNotFoundError) or any(
        word in text for word in ("does not exist", "NoSuchKey", "NotFound", "404")
    )
