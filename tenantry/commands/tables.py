"""Tables for people. They need Rich, which commands without tables do not load."""

import sys

from rich.console import RenderableType

from tenantry.commands.output import is_quiet
from tenantry.terminal import Terminal


def show(content: RenderableType, *, width: int = 400, err: bool = False) -> None:
    """Print a table for people.

    Args:
        content: the table.
        width: the width where the output is no terminal. Wrapped lines would make a file hard to
            search.
        err: print to the standard error, because the output is data.
    """
    if not is_quiet():
        stream = sys.stderr if err else sys.stdout
        Terminal(stderr=err, width=None if stream.isatty() else width).print(content)
