"""The line of the declared state that declares a resource, or would declare it."""

from tenantry.declared import Declaration, Location
from tenantry.resources import Id


def locate(state: Declaration, team: str, id: Id, field: str = "") -> Location:
    """Return the line that a finding points to.

    Args:
        state: the declared state.
        team: the team's name; for a team that is not declared, the line is in `platform.yaml`.
        id: the resource.
        field: the first field that differs, if any.
    """
    declared = state.teams.get(team)
    if declared is None:
        return state.locate(None, id.kind.platform_place(id.key))
    return state.locate(team, id.kind.place(declared, id.key, field))
