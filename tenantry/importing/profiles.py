"""Finds profiles: what a group of teams shares, and most teams do not."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from tenantry.declared import Platform, Team, TeamSettings, complete
from tenantry.declared.merge import merge
from tenantry.declared.rewriting import dump
from tenantry.importing.defaults import NAMES, OPEN, SHARED, Complete, is_same, own

Data = dict[str, Any]
Path = tuple[str, ...]
Item = tuple[Path, str]
"""A field that a team's file gives, with its value as JSON."""

_LEAST = 3
"""The number of teams from which a profile is worth its name."""
_COMPARED = 150
"""The number of different files that are compared with each other, the most common ones first."""


def find(
    platform: Data, teams: Sequence[Complete], contents: Mapping[str, Data]
) -> tuple[Data, dict[str, Data]]:
    """Return profiles by name, and the contents of the files of the teams that use them.

    A team uses a profile only if it has all of its values. Each profile is shared by at least three
    teams, and makes the files shorter. The same platform always gives the same profiles.

    Args:
        platform: `platform.yaml` with the defaults.
        teams: the teams.
        contents: the contents of the teams' files without profiles.
    """
    model = Platform.model_validate(platform)
    base = complete(model, Team(name=NAMES)).model_dump(mode="json")
    rest = {
        team.data["name"]: frozenset(
            _items({p: contents[team.data["name"]].get(p) for p in SHARED}, base)
        )
        for team in teams
    }
    by_name = {team.data["name"]: team for team in teams}
    profiles: Data = {}
    shorter: dict[str, Data] = {}
    refused: set[frozenset[Item]] = set()
    while (best := _best(rest.values(), refused)) is not None:
        name = f"profile-{len(profiles) + 1}"
        users = [team for team, items in rest.items() if best <= items]
        added = {name: _nested(best)}
        found = _with_profile(platform, profiles | added, [by_name[user] for user in users], name)
        saved = sum(_lines(contents[user]) - _lines(found.get(user, {})) for user in users)
        if not found or saved <= _lines(added):
            refused.add(best)
            continue
        profiles |= added
        shorter |= found
        for user in users:
            del rest[user]
    return profiles, shorter


def _with_profile(
    platform: Data, profiles: Data, teams: Sequence[Complete], name: str
) -> dict[str, Data]:
    """Return the contents of the teams' files with a profile; empty if one would declare another team."""
    try:
        TeamSettings.model_validate(profiles[name])
        model = Platform.model_validate({**platform, "profiles": profiles})
        users = [team.with_profile(name) for team in teams]
        found = {team.data["name"]: own(model, team) for team in users}
        same = all(is_same(model, team, found[team.data["name"]]) for team in users)
    except ValidationError:
        return {}
    return found if same else {}


def _best(
    teams: Collection[frozenset[Item]], refused: Collection[frozenset[Item]]
) -> frozenset[Item] | None:
    """Return the fields that save the most lines if the teams with them share a profile; None if none do."""
    counted = Counter(teams)
    common = sorted(counted, key=lambda items: (-counted[items], sorted(items)))[:_COMPARED]
    candidates = {one & other for one in common for other in common} - {frozenset()} - set(refused)
    best: tuple[int, list[Item]] | None = None
    for candidate in candidates:
        users = sum(number for items, number in counted.items() if candidate <= items)
        lines = sum(map(_lines_of, candidate))
        saved = lines * (users - 1) - users - 1  # each file names the profile
        rank = (-saved, sorted(candidate))
        if users >= _LEAST and saved > 0 and (best is None or rank < best):
            best = rank
    return frozenset(best[1]) if best else None


def _items(value: Data, base: Any, path: Path = ()) -> Iterator[Item]:
    """Yield the fields of a file one by one, as far as a profile can give each of them alone."""
    for key, below in value.items():
        here, under = (*path, key), base.get(key) if isinstance(base, dict) else None
        if isinstance(below, dict) and below and (isinstance(under, dict) or here in OPEN):
            yield from _items(below, under, here)
        elif below is not None or path[:1] == ("robots",) or len(path) > 1:
            yield here, json.dumps(below, sort_keys=True)


def _nested(items: Collection[Item]) -> Data:
    found: Data = {}
    for path, text in sorted(items):
        value = json.loads(text)
        for key in reversed(path):
            value = {key: value}
        found = merge(found, value)
    return found


@lru_cache(maxsize=4096)
def _lines_of(item: Item) -> int:
    return _lines({item[0][-1]: json.loads(item[1])})


def _lines(content: Data) -> int:
    return dump(content).count("\n")
