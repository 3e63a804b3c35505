"""Which group each name of an external identity provider leads to: to one, and to one only."""

import re
from collections.abc import Iterator, Sequence

from tenantry.declared.platform import Platform
from tenantry.declared.rules import Fault
from tenantry.declared.single_sign_on import ExternalProvider
from tenantry.declared.team import Team


def check(platform: Platform, teams: Sequence[Team]) -> Iterator[tuple[Team | None, Fault]]:
    """What is wrong with the names, each with the team at fault; None: the platform."""
    yield from _check_groups(platform, teams)
    for alias, provider in platform.keycloak.external_providers.items():
        place = ("keycloak", "external_providers", alias, "groups")
        yield from ((None, (place, text)) for text in _doubles(provider))
        known = {team.oidc_group for team in teams} | {*platform.keycloak.groups}
        for name, group in provider.groups.items():
            if teams and group not in known:
                yield None, ((*place, name), f"no team has the group '{group}'")
        yield from _clashes(alias, provider, platform, teams)


def _check_groups(platform: Platform, teams: Sequence[Team]) -> Iterator[tuple[Team | None, Fault]]:
    for name, group in platform.keycloak.groups.items():
        for alias in group.external_groups:
            if alias not in platform.keycloak.external_providers:
                place = ("keycloak", "groups", name, "external_groups", alias)
                yield None, (place, f"'{alias}' is not among keycloak.external_providers")
    for team in teams:
        if team.oidc_group in platform.keycloak.groups:
            text = f"the group '{team.oidc_group}' is the platform's own (keycloak.groups)"
            yield team, (("group",) if team.group else ("name",), text)


def _doubles(provider: ExternalProvider) -> Iterator[str]:
    """Two names of the table for one group, where nobody said that this is meant."""
    first: dict[str, str] = {}
    for name, group in provider.groups.items():
        other = first.setdefault(group, name)
        if other is not name and not provider.several_names:
            yield (
                f"'{other}' and '{name}' both lead to '{group}'; if that is meant, say "
                "several_names: true"
            )


def _clashes(
    alias: str, provider: ExternalProvider, platform: Platform, teams: Sequence[Team]
) -> Iterator[tuple[Team | None, Fault]]:
    """A name that leads to two groups."""
    owners: dict[str, str] = {}
    for group, own in platform.keycloak.groups.items():
        for name in own.external_groups.get(alias, ()):
            owners.setdefault(_folded(provider, name), group)
    by_pattern: list[Team] = []
    for team in teams:
        own_names = team.external_groups.get(alias)
        names = provider.names(team.oidc_group, own_names)
        if not names:
            by_pattern.append(team)
        for name in names:
            other = owners.setdefault(_folded(provider, name), team.oidc_group)
            if other != team.oidc_group:
                place = ("external_groups", alias) if own_names else ("name",)
                text = f"'{name}' of provider '{alias}' leads to the group '{other}', too"
                yield team, (place, text)
    flags = re.IGNORECASE if provider.ignore_case else 0
    for team in by_pattern:
        expression = re.compile(provider.expression(team.oidc_group), flags)
        likely = {**owners, **{_folded(provider, t.oidc_group): t.oidc_group for t in by_pattern}}
        for name, group in likely.items():
            if group != team.oidc_group and expression.fullmatch(name):
                text = (
                    f"'{name}' of provider '{alias}' leads to '{group}', and by the provider's "
                    f"pattern to '{team.oidc_group}' as well"
                )
                yield team, (("name",), text)


def _folded(provider: ExternalProvider, name: str) -> str:
    return name.casefold() if provider.ignore_case else name
