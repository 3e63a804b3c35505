"""The command `tenantry policy`."""

from pathlib import Path

import typer

from tenantry import declared


def run(folder: Path) -> None:
    """Print a policy that admits all declared teams.

    Raises:
        DeclarationError: `platform.yaml` is faulty.
    """
    typer.echo(declared.propose_policy(folder), nl=False)
