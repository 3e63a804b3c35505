"""Where runs keep files: reports, their history, and audit trails."""

from typing import Any

from prefect.blocks.core import Block
from prefect.filesystems import LocalFileSystem, WritableFileSystem

from tasks.prefect_api import needed
from tenantry.errors import TenantryError
from tenantry.files import check_name, write_private


class NoStore(TenantryError):
    """There is no block of that name."""


class BlockStore:
    """A file-system block of Prefect's as a store."""

    def __init__(self, name: str) -> None:
        """
        Args:
            name: type and name of the block, such as `local-file-system/drift`.

        Raises:
            NoStore: there is no such block.
            TenantryError: files can't be kept in it.
        """
        self.name = name
        try:
            with needed(f"read block '{name}'"):
                block: Any = Block.load(name)
        except ValueError as error:
            text = (
                f"There is no block '{name}' to keep files in ({str(error).splitlines()[0]}). "
                "Create it in the UI under Blocks, or name another as type/name, such as "
                "local-file-system/drift."
            )
            raise NoStore(text) from None
        # What can be written can be read: a WritableFileSystem has both, and is no Readable one.
        if not isinstance(block, WritableFileSystem):
            text = f"Block '{name}' is no file system: no file can be kept in it."
            raise TenantryError(text)
        self._block: Any = block

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file.

        Raises:
            TenantryError: the name leads out of the store, or the file cannot be read.
        """
        check_name(name, f"Block '{self.name}':")
        try:
            content: bytes = self._block.read_path(name)
            return content
        except Exception as error:  # noqa: BLE001 each kind of store has its own
            if _says_missing(error):
                return None
            raise self._failed("read", name, error) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        On a disk only the account that runs the flows may read it. Who may read a bucket is said
        by the bucket's own policy.

        Raises:
            TenantryError: the name leads out of the store, or the file cannot be written.
        """
        check_name(name, f"Block '{self.name}':")
        try:
            if isinstance(self._block, LocalFileSystem):
                write_private(self._block._resolve_path(name), content)
            else:
                self._block.write_path(name, content)
        except Exception as error:  # noqa: BLE001 each kind of store has its own
            raise self._failed("written", name, error) from None

    def _failed(self, what: str, name: str, error: Exception) -> TenantryError:
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        return TenantryError(f"Block '{self.name}': {name} can't be {what}: {told}")


def _says_missing(error: Exception) -> bool:
    """Each kind of store has its own error for a file that is not there."""
    text = f"{type(error).__name__} {error}"
    return isinstance(error, FileNotFoundError) or any(
        word in text for word in ("does not exist", "NoSuchKey", "NotFound", "404")
    )
