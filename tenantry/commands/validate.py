"""The command `tenantry validate`."""

from pathlib import Path

from tenantry import declared
from tenantry.commands.output import say, say_skipped
from tenantry.errors import DeclarationError
from tenantry.wording import count


def run(folder: Path) -> None:
    """Validate the declared state, and print the warnings.

    Raises:
        DeclarationError: the declared state is faulty; with all faults.
    """
    state = declared.read(folder)
    for warning in state.warnings:
        say(f"warning: {warning}", err=True)
    say_skipped(state, None)
    if faults := state.faults:
        raise DeclarationError(faults)
    say(f"{folder}: {count(len(state.teams), 'team')} and the platform are valid.")
