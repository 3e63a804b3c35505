"""Judges the files of teams by the policy, one by one and together."""

from collections.abc import Mapping

from tenantry.declared.claims import LOGIN_HOST
from tenantry.declared.faults import Place
from tenantry.declared.policy_check import Judge
from tenantry.declared.policy_source import Judged
from tenantry.declared.salvage import is_consequence, original_place
from tenantry.declared.state import Contested
from tenantry.declared.team import Team
from tenantry.declared.team_file import TeamFile


def judge_alone(judge: Judge, file: TeamFile, given: Team, team: Team, unknown: set[Place]) -> Team:
    """Judge a team by the policy, and return it with the `adopt` that the policy allows.

    Args:
        judge: judges by the policy.
        file: the team's file, which is given the faults.
        given: what the team declares.
        team: the same with all defaults.
        unknown: the fields that have faults already.
    """
    for violation in judge.check(given, team, file.path.name):
        place = original_place(violation.place, file.document.data, unknown)
        if not is_consequence(place, unknown):
            file.violate(violation._replace(place=place))
    allowed = judge.adopt_of(given, team, file.path.name)
    if allowed is not team:
        text = judge.adopt_text(team, file.path.name)
        file.warnings.append(file.document.fault(("adopt",), text))
        file.refused_adopt = team.adopt
    return allowed


def judge_together(judge: Judge, files: Mapping[int, TeamFile]) -> None:
    """Judge what belongs to other teams by a grant, by a pattern, or as the target of logins.

    Args:
        judge: judges by the policy.
        files: the files by the identity of their teams.
    """
    judged = [
        Judged(file.team, file.path.name, file.refused) for file in files.values() if file.team
    ]
    for team, violation, dispute in judge.check_together(judged):
        file = files[id(team)]
        if dispute is None:
            file.violate(violation)
        else:
            file.violations.append(violation)
            fault = file.document.fault(violation.place, violation.text)
            file.contested.append(Contested(LOGIN_HOST, dispute, fault))
