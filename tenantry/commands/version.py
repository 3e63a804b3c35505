"""The command `tenantry version`."""

from importlib.metadata import version

import typer


def run() -> None:
    """Print the version of the installed package."""
    typer.echo(f"tenantry {version('tenantry')}")
