"""Where the declared state is kept."""

from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field

from tenantry import declared
from tenantry.declared import Declaration, Team


class DeclaredState(Block):
    """The folder that holds `platform.yaml` and `teams/*.yaml`.

    Example:
        ```python
        from blocks import DeclaredState

        declaration = DeclaredState.load("BLOCK_NAME").read()
        print(list(declaration.teams))
        ```
    """

    _block_type_name = "Declared State"
    _block_type_slug = "declared-state"

    folder: str = Field(
        description="Absolute path of the folder, as the process that runs the flows sees it."
    )

    def read(self) -> Declaration:
        """The declared state, checked.

        Raises:
            DeclarationError: with every fault.
        """
        return declared.load(Path(self.folder))

    def write(self, team: Team) -> str:
        """Writes a team's file, unless it says the same already, and gives its path."""
        return str(declared.save_team(Path(self.folder), team))

    def check(self) -> str:
        """Whether the declared state can be read and is in order, in a sentence.

        Raises:
            DeclarationError: it isn't, with every fault.
        """
        return f"{self.folder} declares {len(self.read().teams)} teams and is in order."
