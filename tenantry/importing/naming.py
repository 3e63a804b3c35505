"""The names of imported teams' resources: the platform's patterns, and the explicit names of teams."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from tenantry.declared.names import NamePatterns, fill
from tenantry.importing.recognition import Found

Data = dict[str, Any]

_USUAL = NamePatterns()


def patterns(teams: Sequence[Found], known: Sequence[str]) -> NamePatterns:
    """Return the patterns that most of the teams' names follow.

    Args:
        teams: the teams.
        known: the patterns by which teams are recognized.
    """
    found = {
        "namespace": _most_common("namespace", teams, known, [team.namespace for team in teams]),
        "project": _most_common("project", teams, known, [team.project for team in teams]),
        "group": _most_common("group", teams, known, [team.group for team in teams]),
    }
    given = {part: pattern for part, pattern in found.items() if pattern}
    if pattern := given.get("namespace"):
        given["client"] = f"{pattern}-{{name}}"
    names = NamePatterns.model_validate(given)
    further = _further_pattern(teams)
    return names if further in (None, names.further) else _with(names, "further_namespace", further)


def _most_common(
    part: str, teams: Sequence[Found], known: Sequence[str], names: Sequence[str | None]
) -> str | None:
    """Return the pattern that fits the names of most teams; None if none fits more than half."""
    pairs = list(zip(teams, names, strict=True))
    derived = [
        name.replace(team.name, "{team}") for team, name in pairs if name and _has(name, team.name)
    ]
    fitting = Counter(
        pattern
        for pattern in dict.fromkeys((*known, *derived))
        for team, name in pairs
        if fill(pattern, team=team.name) == name and _is_valid(part, pattern)
    )
    best = fitting.most_common(1)
    return best[0][0] if best and 2 * best[0][1] > len(teams) else None


def _further_pattern(teams: Sequence[Found]) -> str | None:
    """Return the pattern that most of the further namespaces follow; None if most follow none."""
    pairs = [(team.name, key, name) for team in teams for key, name in team.further.items()]
    fitting = Counter(
        pattern
        for team, key, name in pairs
        if _has(name, team) and _has(name.replace(team, "{team}"), key)
        if _is_valid(
            "further_namespace",
            pattern := name.replace(team, "{team}").replace(key, "{key}"),
        )
    )
    best = fitting.most_common(1)
    return best[0][0] if best and 2 * best[0][1] > len(pairs) else None


def _has(name: str, part: str) -> bool:
    return name.count(part) == 1


def _is_valid(part: str, pattern: str) -> bool:
    try:
        NamePatterns.model_validate({part: pattern})
    except ValidationError:
        return False
    return True


def _with(names: NamePatterns, part: str, pattern: str | None) -> NamePatterns:
    return NamePatterns.model_validate({**names.model_dump(exclude_unset=True), part: pattern})


def declared_patterns(names: NamePatterns) -> Data:
    """Return the patterns that differ from the usual ones."""
    found = names.model_dump(mode="json")
    return {part: name for part, name in found.items() if name != getattr(_USUAL, part)}


def explicit(team: Found, names: NamePatterns) -> Data:
    """Return the names of a team's namespaces and project that follow no pattern."""
    return dict(_explicit(team, names))


def _explicit(team: Found, names: NamePatterns) -> Iterator[tuple[str, Any]]:
    home = fill(names.namespace, team=team.name)
    if team.namespace != home:
        yield "namespace", team.namespace
    usual = {key: fill(names.further, team=team.name, key=key) for key in team.further}
    further = {key: name for key, name in team.further.items() if name != usual[key]}
    if further:
        yield "further_namespaces", further
    if team.project != fill(names.project, team=team.name):
        yield "project", team.project


def secret_pattern(secrets: Sequence[dict[str, str]]) -> str | None:
    """Return the pattern of the names of most robots' Secrets; None if most follow none.

    Args:
        secrets: the names of each team's Secrets, by purpose.
    """
    pairs = [pair for each in secrets for pair in each.items()]
    fitting = Counter(
        name.replace(purpose, "{purpose}") for purpose, name in pairs if name.count(purpose) == 1
    )
    best = fitting.most_common(1)
    return best[0][0] if best and 2 * best[0][1] > len(pairs) else None


def usual_secret(names: NamePatterns, purpose: str) -> str:
    """Return the name of a robot's Secret by the platform's patterns."""
    return names.secrets.get(purpose) or fill(names.secret, purpose=purpose)


def declare_secrets(data: Data, secrets: dict[str, str], names: NamePatterns) -> None:
    """Add the names of a team's Secrets that follow no pattern to the content of its file."""
    own = {p: name for p, name in secrets.items() if name != usual_secret(names, p)}
    if own:
        data.setdefault("names", {})["secrets"] = own
