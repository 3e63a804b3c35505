"""Adds the team of an API call to the declared state, and checks them together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tenantry.declared.claims import Conflict, Refused
from tenantry.declared.faults import Document
from tenantry.declared.platform_file import PlatformFile
from tenantry.declared.policy_source import EvaluatedTeam, file_name
from tenantry.declared.reading import Reading
from tenantry.declared.state import Declaration
from tenantry.declared.team import Team
from tenantry.declared.team_file import TeamFile
from tenantry.errors import DeclarationError


def add_team(declaration: Declaration, team: Team, form: Document | None = None) -> Declaration:
    """Return the declaration with the team of an API call, checked like a team file.

    The team must not claim a resource that another team claims, even if a naming convention gives
    the resource to the new team: that would exclude the other team.

    Args:
        declaration: the declared state.
        team: the team, with only the fields that were given.
        form: the source of the team's fields, for messages.

    Raises:
        DeclarationError: lists all faults, each in the form `team NAME: field: …`.
    """
    document = form or Document(f"team {team.name}", {})
    file = TeamFile(Path(f"{team.name}.yaml"), document.name, document)
    platform = declaration.platform
    reading = Reading(Path(), PlatformFile(platform=platform))
    reading.archive = declaration.archive
    reading.evaluator = declaration.evaluator
    reading.complete(file, team)
    if file.team is not None:
        others = [each.team for each in declaration.left_out if each.team is not None]
        known = (*declaration.teams.values(), *declaration.offboarding.values(), *others)
        rivals = [each for each in known if each.name != team.name]
        _check_policy(declaration, file, file.team)
        refused = _refused(declaration) | {(team.name, place) for place in file.refused}
        _check_claims(file, file.team, rivals, partial(reading.conflicts, refused=refused))
    if file.team is None or file.faults:
        raise DeclarationError([fault.replace(":1: ", ": ", 1) for fault in file.faults])
    teams, offboarding = dict(declaration.teams), dict(declaration.offboarding)
    teams.pop(team.name, None)
    offboarding.pop(team.name, None)
    (offboarding if file.team.offboarding else teams)[team.name] = file.team
    left_out = tuple(each for each in declaration.left_out if team.name not in each.names)
    former = declaration.documents.teams.get(team.name) if declaration.documents else None
    warnings = [w for w in declaration.warnings if not (former and w.startswith(f"{former.name}:"))]
    added = [warning.replace(":1: ", ": ", 1) for warning in file.warnings]
    return replace(
        declaration,
        teams=dict(sorted(teams.items())),
        offboarding=dict(sorted(offboarding.items())),
        left_out=left_out,
        warnings=(*warnings, *added),
    )


def _refused(declaration: Declaration) -> frozenset[Refused]:
    """Return the fields of left-out teams that the policy does not allow."""
    return frozenset(
        (each.team.name, place)
        for each in declaration.left_out
        if each.team is not None
        for place in each.refused
    )


def _check_policy(declaration: Declaration, file: TeamFile, team: Team) -> None:
    """Record the team's declarations that belong to other teams by the policy."""
    if declaration.evaluator is None:
        return
    evaluated = [EvaluatedTeam(team, file.path.name, file.refused)]
    documents = declaration.documents.teams if declaration.documents else {}
    for each in (*declaration.teams.values(), *declaration.offboarding.values()):
        if each.name != team.name:
            document = documents.get(each.name)
            evaluated.append(
                EvaluatedTeam(each, file_name(document.name) if document else None, frozenset())
            )
    for left in declaration.left_out:
        if left.team is not None and left.team.name != team.name:
            evaluated.append(EvaluatedTeam(left.team, file_name(left.file), left.refused))
    for found, violation, _ in declaration.evaluator.check_together(evaluated):
        if found is team:
            file.violate(violation)


def _check_claims(
    file: TeamFile,
    team: Team,
    others: Sequence[Team],
    conflicts: Callable[[Sequence[Team]], Iterator[Conflict]],
) -> None:
    """Record the team's claims that conflict with claims of other teams."""
    known = {(c.claim.team.name, c.claim.place, c.text) for c in conflicts(others)}
    for conflict in conflicts([*others, team]):
        claim = conflict.claim
        if claim.team is team:
            file.fault(claim.place, conflict.text)
        elif (claim.team.name, claim.place, conflict.text) not in known:
            text = f"{claim.kind} '{claim.name}' is also declared by team '{claim.team.name}'"
            file.fault((), text)
