"""Loads a block by its name, with errors that name the block, the fault and the remedy."""

from typing import TypeVar

from prefect.blocks.core import Block
from pydantic import ValidationError

from tenantry.errors import TenantryError

B = TypeVar("B", bound=Block)


class NoSuchBlock(TenantryError):
    """No block of this type has this name."""


def load(kind: type[B], name: str, place: str) -> B:
    """Return the block of a type that has this name.

    Args:
        kind: the type of the block.
        name: its name.
        place: where the name is set, for messages.

    Raises:
        NoSuchBlock: the block does not exist.
        TenantryError: a field of the block is faulty; its value is not quoted, it may be a secret.
    """
    try:
        return kind.load(name)  # type: ignore[return-value]  # without an event loop it is sync
    except ValueError as error:
        if "Unable to find block document" not in str(error):
            raise
        raise NoSuchBlock(
            f"There is no block '{kind._block_type_name}' named '{name}'. Create it in the UI "
            f"under Blocks, or name an existing one in {place}."
        ) from None
    except RuntimeError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        faults = describe_faults(error.__cause__)
    raise TenantryError(
        f"The block '{kind._block_type_name}' named '{name}' is faulty: {faults}. Correct the block."
    )


def describe_faults(error: ValidationError) -> str:
    """Return the faulty fields and their faults, without the values: they may be secrets."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'][:2]))}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False, include_url=False)
    )
