"""What all commands print."""

import typer

from tenantry.declared.state import Declaration
from tenantry.text import printed_lines


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text, escaped for terminals and for CI logs."""
    typer.echo(printed_lines(text), err=err)


def say_skipped(state: Declaration, names: list[str] | None) -> None:
    """Print a line for each team that a command skips because it is being offboarded."""
    for sentence in state.skipped(names):
        say(sentence, err=True)
