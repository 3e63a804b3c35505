"""Teams whose files have vanished: the systems hold their marks, and no file declares them.

Nothing is revoked or removed because a file has vanished: the source may be incomplete. A person
offboards the team by its name.
"""

from collections.abc import Mapping

from tenantry.declared import Declaration, Team, complete
from tenantry.errors import DeclarationError
from tenantry.systems.holders import Holders
from tenantry.systems.systems import Systems


def vanished_teams(systems: Systems) -> Mapping[str, Team]:
    """Return the teams that the marks in the systems name and that no file declares, by name.

    Only marks that tenants cannot write count. The teams have the platform's defaults: their files are
    not known.

    Raises:
        TenantryError: the marks cannot be read.
    """
    state = systems.state
    live = Holders(systems).marked_teams()
    return {name: complete(state.platform, Team(name=name)) for name in sorted(live - state.names)}


def check_all_named(state: Declaration, team: str) -> None:
    """Check that no file without a readable name may declare a team.

    Raises:
        DeclarationError: such a file exists.
    """
    if not state.knows_all_names:
        unnamed = [each for each in state.left_out if not each.gives_name]
        files = ", ".join(each.file for each in unnamed)
        faults = [fault for each in unnamed for fault in each.faults]
        text = f"Team '{team}' may be declared in {files}, which cannot be read. Correct it first:"
        raise DeclarationError([text, *faults])
