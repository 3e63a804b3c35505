"""Applies the ignore rules of the declared state, and reports rules that have no effect.

A rule in a team file cannot ignore a critical finding, because a team could hide that others have
its rights. A rule in `platform.yaml` can.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from tenantry.declared import Declaration, IgnoreRule
from tenantry.declared.faults import Place
from tenantry.drift.findings import RULE, SYSTEMS, Finding, Scope, Severity
from tenantry.resources import PLATFORM, Id


@dataclass(frozen=True)
class _Rule:
    """A rule and its location."""

    rule: IgnoreRule
    team: str
    place: Place

    @property
    def text(self) -> str:
        """The rule's selector as text."""
        rule = self.rule
        words = [rule.system or "*", rule.kind or "*", rule.key]
        return "/".join(words) + (f" {rule.field}" if rule.field != "*" else "")

    def matches(self, id: Id, team: str, field: str | None) -> bool:
        """Return whether the rule ignores a field of a resource, or (None) the whole resource."""
        rule = self.rule
        return (
            self.team in (PLATFORM, team)
            and rule.system in (None, id.system)
            and rule.kind in (None, id.kind.name)
            and fnmatchcase(id.key, rule.key)
            and (rule.field == "*" or (field is not None and fnmatchcase(field, rule.field)))
        )


class IgnoreRules:
    """The rules in one run. It records which of them have matched a finding."""

    def __init__(self, state: Declaration, today: date) -> None:
        self._state = state
        self._today = today
        self._rules = list(_rules(state))
        self._valid = [each for each in self._rules if not self._is_over(each)]
        self._used: set[Place] = set()
        self._refused: set[Place] = set()

    def reason(
        self, id: Id, team: str, field: str | None = None, *, severity: Severity
    ) -> str | None:
        """Return the reason for ignoring a finding about a resource, or about one of its fields.

        Args:
            id: the resource.
            team: the finding's team.
            field: the field; None for the whole resource.
            severity: the finding's severity.

        Returns:
            The reason of the matching rule; None if no rule ignores the finding.
        """
        for each in self._valid:
            if not each.matches(id, team, field):
                continue
            place = (each.team, *each.place)
            if severity == "critical" and each.team != PLATFORM:
                self._refused.add(place)
                continue
            self._used.add(place)
            return each.rule.reason
        return None

    def findings(self, scope: Scope, unread: Sequence[Id]) -> Iterator[Finding]:
        """Return findings for expired rules, and for rules that match nothing in this run."""
        for each in self._rules:
            if self._is_over(each):
                until = each.rule.until
                yield self._finding(each, f"it expired on {until}: {each.rule.reason}", over=True)
            elif (each.team, *each.place) in self._refused - self._used:
                detail = (
                    "it has no effect: the finding is critical, and only a rule in platform.yaml can "
                    f"ignore it: {each.rule.reason}"
                )
                yield self._finding(each, detail, over=True)
            elif (each.team, *each.place) not in self._used and _could_tell(each, scope, unread):
                yield self._finding(each, f"it matches nothing: {each.rule.reason}", over=False)

    def _is_over(self, each: _Rule) -> bool:
        return each.rule.until is not None and each.rule.until < self._today

    def _finding(self, each: _Rule, detail: str, *, over: bool) -> Finding:
        return Finding(
            "broken" if over else "extra",
            "info",
            Id(RULE, each.text),
            each.team,
            self._state.locate(each.team or None, each.place),
            detail=detail,
        )


def _rules(state: Declaration) -> Iterator[_Rule]:
    for index, rule in enumerate(state.platform.drift.ignore):
        yield _Rule(rule, PLATFORM, ("drift", "ignore", index))
    for team in state.teams.values():
        for index, rule in enumerate(team.drift.ignore):
            yield _Rule(rule, team.name, ("drift", "ignore", index))


def _could_tell(each: _Rule, scope: Scope, unread: Sequence[Id]) -> bool:
    """Return whether the run observed everything that the rule could match."""
    everything = scope.all_teams and not scope.left_out
    observed = everything if each.team == PLATFORM else each.team in scope.teams
    systems = {each.rule.system} if each.rule.system else set(SYSTEMS)
    unknown = {id.system for id in unread}
    return observed and scope.credentials and systems <= set(scope.systems) - unknown
