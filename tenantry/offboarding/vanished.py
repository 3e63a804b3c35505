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

    Only marks that tenants cannot write count. The teams have no other settings than explicit names,
    where these differ from the platform's patterns: their files are not known.

    Raises:
        TenantryError: the marks cannot be read.
    """
    holders = Holders(systems)
    names = sorted(holders.marked_teams() - systems.state.names)
    return {name: _team(systems.state, name, holders.recorded_names(name)) for name in names}


def _team(state: Declaration, name: str, recorded: Mapping[str, str]) -> Team:
    usual = complete(state.platform, Team(name=name))
    given = {"namespace": usual.home_namespace, "project": usual.project}
    names = {key: value for key, value in recorded.items() if value != given[key]}
    return Team.model_validate({"name": name, **({"names": names} if names else {})})


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
