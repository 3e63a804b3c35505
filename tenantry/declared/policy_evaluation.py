"""Checks team files against the policy, one by one and together."""

from collections.abc import Mapping

from tenantry.declared.claims import LOGIN_HOST
from tenantry.declared.faults import Place
from tenantry.declared.policy_check import PolicyEvaluator
from tenantry.declared.policy_source import EvaluatedTeam
from tenantry.declared.salvage import is_consequence, original_place
from tenantry.declared.state import Contested
from tenantry.declared.team import Team
from tenantry.declared.team_file import TeamFile


def evaluate_team(
    evaluator: PolicyEvaluator, file: TeamFile, given: Team, team: Team, unknown: set[Place]
) -> Team:
    """Check a team against the policy, and return it with the `adopt` that the policy allows.

    Args:
        evaluator: the evaluator of the policy.
        file: the team file, which records the faults.
        given: the team with only the fields that the file declares.
        team: the same team with all defaults.
        unknown: the fields that already have faults.
    """
    for violation in evaluator.check(given, team, file.path.name):
        place = original_place(violation.place, file.document.data, unknown)
        if not is_consequence(place, unknown):
            file.violate(violation._replace(place=place))
    allowed = evaluator.adopt_of(given, team, file.path.name)
    if allowed is not team:
        refused = evaluator.refused_adopt(team, allowed)
        text = evaluator.adopt_text(team, refused, file.path.name)
        file.warnings.append(file.document.fault(("adopt",), text))
        file.refused_adopt = refused
    return allowed


def evaluate_together(evaluator: PolicyEvaluator, files: Mapping[int, TeamFile]) -> None:
    """Check for hosts and robots that belong to another team by the policy.

    They belong to another team by a grant, by a pattern, or as the redirect target of its logins.

    Args:
        evaluator: the evaluator of the policy.
        files: the files by the identity (`id`) of their teams.
    """
    evaluated = [
        EvaluatedTeam(file.team, file.path.name, file.refused)
        for file in files.values()
        if file.team
    ]
    for team, violation, dispute in evaluator.check_together(evaluated):
        file = files[id(team)]
        if dispute is None:
            file.violate(violation)
        else:
            file.violations.append(violation)
            fault = file.document.fault(violation.place, violation.text)
            file.contested.append(Contested(LOGIN_HOST, dispute, fault))
