"""What all commands print: data and errors always, everything for people unless they asked for quiet."""

import logging
import sys

import typer

from tenantry.declared.state import Declaration
from tenantry.text import logger, printed_lines

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class _Volume:
    is_quiet = False


def set_volume(*, quiet: bool, verbose: int) -> None:
    """Set how much the command prints.

    Args:
        quiet: print only errors, and what was asked for as data, such as JSON.
        verbose: 1 logs what is done beside the output, and 2 also what helps to find a fault.
    """
    _Volume.is_quiet = quiet
    level = logging.ERROR if quiet else _LEVELS[min(verbose, len(_LEVELS) - 1)]
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s: %(message)s", force=True)
    logger("tenantry").setLevel(level)


def is_quiet() -> bool:
    """Return whether only errors and data are printed."""
    return _Volume.is_quiet


def say(text: str) -> None:
    """Print lines of text for people, escaped for terminals and for CI logs."""
    if not is_quiet():
        typer.echo(printed_lines(text))


def warn(text: str) -> None:
    """Print lines of text for people to the standard error."""
    if not is_quiet():
        typer.echo(printed_lines(text), err=True)


def fail(text: str) -> None:
    """Print an error."""
    typer.echo(printed_lines(text), err=True)


def give(text: str) -> None:
    """Print what was asked for as data, also to those who want quiet."""
    typer.echo(printed_lines(text))


def ask(question: str) -> str:
    """Print a question to the standard error, and return the line that answers it."""
    typer.echo(printed_lines(question), nl=False, err=True)
    return sys.stdin.readline().strip()


def say_skipped(state: Declaration, names: list[str] | None) -> None:
    """Print a line for each team that a command skips because it is being offboarded."""
    for sentence in state.skipped(names):
        warn(sentence)
