"""Checks that each group name of an external identity provider leads to exactly one group."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

from tenantry.declared import group_patterns
from tenantry.declared.claims import REFUSED_RANK, Claim, Conflict, Refused, is_refused
from tenantry.declared.expressions import Expression
from tenantry.declared.platform import Platform
from tenantry.declared.rules import Fault
from tenantry.declared.single_sign_on import ExternalProvider
from tenantry.declared.team import Team

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
EXTERNAL_NAME = "the external name"
"""The kind of a claim for an external name. The claim's name is `provider/name`."""
_OWN, _BY_RULE, _BY_TABLE = range(3)
"""Ranks of a claim for a name. A team's own `external_groups` has the lowest rank, so that it cannot
claim a name that the platform gives to another team."""


def check_platform(platform: Platform) -> Iterator[Fault]:
    """Return the faults in the platform's names that do not depend on the teams."""
    for name, group in platform.keycloak.groups.items():
        for alias in group.external_groups:
            if alias not in platform.keycloak.external_providers:
                text = f"'{alias}' is not among keycloak.external_providers"
                yield ("keycloak", "groups", name, "external_groups", alias), text
    for alias, provider in platform.keycloak.external_providers.items():
        place = ("keycloak", "external_providers", alias, "groups")
        yield from ((place, text) for text in _doubles(provider))


def check_groups(platform: Platform, teams: Sequence[Team]) -> Iterator[Fault]:
    """Return the faults of names in the platform's tables that lead to a group of no team."""
    known = {team.oidc_group for team in teams} | {*platform.keycloak.groups}
    for alias, provider in platform.keycloak.external_providers.items():
        for name, group in provider.groups.items():
            if teams and group not in known:
                place = ("keycloak", "external_providers", alias, "groups", name)
                yield place, f"no team has the group '{group}'"


def conflicts(
    platform: Platform, teams: Sequence[Team], refused: Collection[Refused] = ()
) -> Iterator[Conflict]:
    """Return the conflicts over names that a team claims and that also lead to another group.

    Args:
        platform: the platform.
        teams: the teams.
        refused: the fields that the policy does not allow.
    """
    for team in teams:
        if team.oidc_group in platform.keycloak.groups:
            place = ("group",) if team.group else ("name",)
            text = f"the group '{team.oidc_group}' is the platform's own (keycloak.groups)"
            yield Conflict(Claim(team, "the group", team.oidc_group, place), text, decided=True)
    for alias, provider in platform.keycloak.external_providers.items():
        yield from _Names(alias, provider, platform, teams, refused).conflicts()


class _Listed(NamedTuple):
    """A name that leads to a group."""

    name: str
    group: str
    claim: Claim | None = None
    """The team's claim; None for a name of the platform's own group."""


class _Names:
    """The names of one provider."""

    def __init__(
        self,
        alias: str,
        provider: ExternalProvider,
        platform: Platform,
        teams: Sequence[Team],
        refused: Collection[Refused],
    ) -> None:
        self._refused = refused
        self._alias = alias
        self._provider = provider
        self._platforms = {
            _folded(provider, name): group
            for group, own in platform.keycloak.groups.items()
            for name in own.external_groups.get(alias, ())
        }
        self._claims: dict[str, list[Claim]] = defaultdict(list)
        self._by_pattern: list[Claim] = []
        """The groups whose names only the pattern defines. The claim's name is the group."""
        for team in teams:
            self._add(team)

    def _add(self, team: Team) -> None:
        own = team.external_groups.get(self._alias)
        what = EXTERNAL_NAME
        names = self._provider.names(team.oidc_group, own)
        place = ("external_groups", self._alias) if own else ("name",)
        for name in names:
            by_table = self._provider.groups.get(name) == team.oidc_group
            rank = _OWN if own else _BY_TABLE if by_table else _BY_RULE
            if is_refused(team, place, self._refused):
                rank = REFUSED_RANK
            claim = Claim(team, what, name, place, rank)
            self._claims[_folded(self._provider, name)].append(claim)
        if not names:
            refused = is_refused(team, place, self._refused)
            rank = REFUSED_RANK if refused else _BY_RULE
            self._by_pattern.append(Claim(team, what, team.oidc_group, place, rank))

    def conflicts(self) -> Iterator[Conflict]:
        """Return the conflicting claims."""
        for name, claims in self._claims.items():
            yield from self._of_name(name, claims)
        yield from self._of_patterns()

    def _of_patterns(self) -> Iterator[Conflict]:
        """Return the conflicts over names that the pattern gives to a group."""
        listed = [
            *(_Listed(name, group) for name, group in self._platforms.items()),
            *(
                _Listed(name, other.team.oidc_group, other)
                for name, found in self._claims.items()
                for other in found
            ),
            *(
                _Listed(_folded(self._provider, claim.name), claim.name, claim)
                for claim in self._by_pattern
            ),
        ]
        groups = {claim.name for claim in self._by_pattern}
        likely = group_patterns.likely_names(
            self._provider.expression, groups, dict.fromkeys(each.name for each in listed)
        )
        by_name: dict[str, list[int]] = defaultdict(list)
        for number, each in enumerate(listed):
            by_name[each.name].append(number)
        for claim in self._by_pattern:
            try:
                expression = Expression(self._provider.expression(claim.name))
            except ValueError as error:
                text = f"provider '{self._alias}' has a pattern that cannot be used: {error}"
                yield Conflict(claim, text, decided=True)
                continue
            matching = [name for name in likely.get(claim.name, ()) if expression.matches(name)]
            for number in sorted(number for name in matching for number in by_name[name]):
                if listed[number].group != claim.name:
                    yield from self._of_pattern(claim, listed[number])

    def _of_name(self, name: str, claims: Sequence[Claim]) -> Iterator[Conflict]:
        platforms = self._platforms.get(name)
        for claim in claims:
            if platforms is not None:
                yield self._two_groups(name, claim, platforms, decided=True)
                continue
            group = claim.team.oidc_group
            rivals = [other for other in claims if other.team.oidc_group != group]
            ahead = [other for other in rivals if other.rank >= claim.rank]
            if ahead:
                rival = min(ahead, key=lambda other: (-other.rank, other.team.name))
                decided = rival.rank > claim.rank
                yield self._two_groups(name, claim, rival.team.oidc_group, decided=decided)

    def _two_groups(self, name: str, claim: Claim, group: str, *, decided: bool) -> Conflict:
        text = f"'{claim.name}' of provider '{self._alias}' also leads to the group '{group}'"
        return Conflict(self._for(name, claim), text, decided=decided)

    def _for(self, name: str, claim: Claim) -> Claim:
        """Return a claim with the external name that both teams claim as its name."""
        return claim._replace(name=f"{self._alias}/{name}")

    def _of_pattern(self, claim: Claim, listed: "_Listed") -> Iterator[Conflict]:
        """Return the conflict over a name of another group that a group's pattern also matches."""
        name, group, other = listed
        text = self._by_both(name, group, claim.name)
        if other is None or other.rank >= claim.rank:
            decided = other is None or other.rank > claim.rank
            yield Conflict(self._for(name, claim), text, decided=decided)
        if other is not None and other.rank <= claim.rank:
            yield Conflict(self._for(name, other), text, decided=other.rank < claim.rank)

    def _by_both(self, name: str, group: str, by_pattern: str) -> str:
        return (
            f"'{name}' of provider '{self._alias}' leads to '{group}', and by the provider's "
            f"pattern also to '{by_pattern}'"
        )


def _doubles(provider: ExternalProvider) -> Iterator[str]:
    """Return the faults of names in the table that lead to the same group without `several_names`."""
    first: dict[str, str] = {}
    for name, group in provider.groups.items():
        other = first.setdefault(group, name)
        if other is not name and not provider.several_names:
            yield (
                f"'{other}' and '{name}' both lead to '{group}'; if that is intended, set "
                "several_names: true"
            )


def _folded(provider: ExternalProvider, name: str) -> str:
    """Return a name in the form that Keycloak compares: Java's `(?i)` folds A to Z only."""
    return name.translate(_LOWER) if provider.ignore_case else name
