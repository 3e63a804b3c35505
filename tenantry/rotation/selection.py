"""Selects the teams and robots of a rotation by the names that a person gives."""

from collections.abc import Sequence

from tenantry.declared import Declaration, Team
from tenantry.errors import TenantryError


def pick(declaration: Declaration, names: Sequence[str] | None) -> list[Team]:
    """Return the declared teams of these names, or all.

    While a file gives no name of its team, it may declare a team that no other file names: such a
    name is accepted here, and checked by `RotationRun.plan`.

    Raises:
        DeclarationError: a name that no team can have.
    """
    if names is None or declaration.knows_all_names:
        return declaration.pick(names)
    return declaration.pick([name for name in names if name in declaration.names])


def refuse_unknown(
    purposes: Sequence[str] | None, teams: Sequence[Team], declaration: Declaration
) -> None:
    """Refuse a purpose that none of these teams has.

    The robots of teams that are left out are not known yet: if there are such teams, nothing is refused.

    Raises:
        TenantryError: no team has the purpose; the declared purposes are named.
    """
    if declaration.left_out:
        return
    known = dict.fromkeys(purpose for team in teams for purpose in team.active_robots)
    unknown = [purpose for purpose in purposes or () if purpose not in known]
    if unknown:
        raise TenantryError(
            f"No team has a robot '{unknown[0]}'; declared: {', '.join(known) or 'none'}."
        )
