"""The names of imported teams' resources: the platform's patterns, and the explicit names of teams."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

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
        "namespace": _most_common(teams, known, [team.namespace for team in teams]),
        "project": _most_common(teams, known, [team.project for team in teams]),
        "group": _most_common(teams, known, [team.group for team in teams]),
    }
    given = {part: pattern for part, pattern in found.items() if pattern}
    if pattern := given.get("namespace"):
        given["client"] = f"{pattern}-{{name}}"
    return NamePatterns.model_validate(given)


def _most_common(
    teams: Sequence[Found], known: Sequence[str], names: Iterable[str | None]
) -> str | None:
    """Return the pattern that fits the names of most teams; None if none fits more than half."""
    fitting = Counter(
        pattern
        for team, name in zip(teams, names, strict=True)
        for pattern in known
        if fill(pattern, team=team.name) == name
    )
    best = fitting.most_common(1)
    return best[0][0] if best and 2 * best[0][1] > len(teams) else None


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
    further = {key: name for key, name in team.further.items() if name != f"{home}-{key}"}
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


def declare_secrets(data: Data, secrets: dict[str, str], names: NamePatterns) -> None:
    """Add the names of a team's Secrets that follow no pattern to the content of its file."""
    own = {p: name for p, name in secrets.items() if name != fill(names.secret, purpose=p)}
    if own:
        data.setdefault("names", {})["secrets"] = own
