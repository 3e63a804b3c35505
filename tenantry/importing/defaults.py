"""Splits complete declarations into what most teams share, and what each team says itself."""

import copy
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tenantry.declared import Platform, Team, TeamSettings, complete
from tenantry.declared.harbor_project import Robot
from tenantry.declared.merge import BUILT_IN

Data = dict[str, Any]
Path = tuple[str, ...]

SHARED = ("harbor", "robots", "namespace")
"""The settings of a team that can be defaults. Clients, routes and names are always a team's own."""
OPEN = {
    ("namespace", "labels"),
    ("namespace", "annotations"),
    ("namespace", "quota"),
    ("namespace", "limits", "default"),
    ("namespace", "limits", "default_request"),
    ("namespace", "limits", "max"),
    ("namespace", "limits", "min"),
    ("namespace", "network", "policies"),
    ("harbor", "groups"),
}
"""The mappings whose keys a team cannot remove. So a default key must be in all teams."""
NAMES = "a"
"""The name of a team that declares nothing, whose settings are the built-in ones."""


class Complete:
    """A team with all its fields, and only with those that differ from the models' defaults."""

    def __init__(self, platform: Platform, data: Data) -> None:
        team = complete(platform, Team.model_validate(data))
        self.data = data
        self.full: Data = team.model_dump(mode="json")
        self.lean: Data = team.model_dump(mode="json", exclude_defaults=True)

    def with_profile(self, name: str) -> "Complete":
        """Return the same team, which uses a profile."""
        found = copy.copy(self)
        found.data = {**self.data, "profile": name}
        return found


def common(teams: Sequence[Complete]) -> Data:
    """Return the defaults that make the teams' own files short; empty for less than two teams.

    They do not depend on the order of the teams.
    """
    if len(teams) < 2:
        return {}
    teams = sorted(teams, key=lambda team: str(team.data["name"]))
    shared = {part: _common([team.full[part] for team in teams], (part,)) for part in SHARED}
    lean = {part: _merged([team.lean.get(part, {}) for team in teams]) for part in SHARED}
    base = complete(Platform(), Team(name=NAMES)).model_dump(mode="json")
    found = _beyond(shared, {part: base[part] for part in SHARED}, lean)
    TeamSettings.model_validate(found)
    return found


def own(platform: Platform, team: Complete) -> Data:
    """Return the content of a team's file: what differs from the platform's defaults."""
    data = team.data
    given = {key: data[key] for key in ("name", "profile", "group") if data.get(key)}
    given |= {key: data[key] for key in ("names", "members", "adopt") if data.get(key)}
    named = {
        key: value for key, value in given.items() if key in ("name", "profile", "group", "names")
    }
    base = complete(platform, Team.model_validate(named)).model_dump(mode="json")
    content = {
        part: found
        for part in SHARED
        if (found := _beyond(team.full[part], base[part], team.lean.get(part, {}), (part,)))
    }
    further = {}
    for key, inside in team.full["further_namespaces"].items():
        lean = team.lean["further_namespaces"].get(key, {})
        further[key] = _beyond(inside, team.full["namespace"], lean)
    lists = {
        "further_namespaces": further,
        "oidc_clients": team.lean.get("oidc_clients", {}),
        "routes": _routes(platform, team.lean.get("routes", {})),
        "external_groups": _external(platform, team),
    }
    content |= {part: value for part, value in lists.items() if value}
    adopt = {"adopt": given.pop("adopt")} if "adopt" in given else {}
    return {**given, **adopt, **content}


def _routes(platform: Platform, routes: Mapping[str, Data]) -> Data:
    usual = {"gateway": platform.mesh.gateway, "kind": platform.mesh.route_kind}
    return {
        name: {key: value for key, value in route.items() if usual.get(key) != value}
        for name, route in routes.items()
    }


def _external(platform: Platform, team: Complete) -> Data:
    """Return the names at external providers that the platform does not expect."""
    providers = platform.keycloak.external_providers
    group = team.data.get("group") or Team.model_validate(team.data).oidc_group
    found = team.full.get("external_groups") or {}
    return {
        alias: names
        for alias, names in found.items()
        if alias in providers and providers[alias].names(group) != names
    }


# What most teams share


def _common(values: Sequence[Any], path: Path) -> Any:
    if path == ("robots",):
        return _common_robots(values)
    if path in OPEN:
        keys = set(values[0]).intersection(*values[1:])
        found = {key: _majority([value[key] for value in values]) for key in sorted(keys)}
        return {key: value for key, value in found.items() if value is not _NO_MAJORITY}
    if all(isinstance(value, dict) for value in values):
        found = {key: _common([value[key] for value in values], (*path, key)) for key in values[0]}
        return {key: value for key, value in found.items() if value is not _NO_MAJORITY}
    return _majority(values)


def _common_robots(values: Sequence[Data]) -> Data:
    found: Data = {}
    for purpose in sorted({purpose for value in values for purpose in value}):
        given = [robot for value in values if (robot := value.get(purpose)) is not None]
        if 2 * len(given) > len(values):
            found[purpose] = _common(given, ("robots", purpose))
        elif purpose in BUILT_IN["robots"]:
            found[purpose] = None
    return found


_NO_MAJORITY = object()


def _majority(values: Sequence[Any]) -> Any:
    """Return the value that more than half of the teams have; _NO_MAJORITY if there is none."""
    counted = Counter(json.dumps(value, sort_keys=True) for value in values)
    text, number = counted.most_common(1)[0]
    return json.loads(text) if 2 * number > len(values) else _NO_MAJORITY


def _merged(values: Sequence[Data]) -> Data:
    """Return all keys of some mappings, for the short form of values in them."""
    merged: Data = {}
    for value in values:
        for key, below in value.items():
            both = isinstance(below, dict) and isinstance(merged.get(key), dict)
            merged[key] = _merged([merged[key], below]) if both else merged.get(key, below)
    return merged


# Differences


def _beyond(wanted: Any, base: Any, lean: Any, path: Path = ()) -> Data:
    """Return the members of `wanted` that differ from `base`, in their short form."""
    found: Data = {}
    for key, value in wanted.items():
        short = lean.get(key) if isinstance(lean, dict) else None
        if key not in base or (base[key] is None and isinstance(value, dict)):
            found[key] = _short(value, short, (*path, key))
        elif isinstance(value, dict) and isinstance(base[key], dict):
            if below := _beyond(value, base[key], short or {}, (*path, key)):
                found[key] = below
        elif value != base[key]:
            found[key] = _short(value, short, (*path, key))
        if path[-1:] == ("quota",) and key in found and str(found[key]).isdecimal():
            found[key] = int(found[key])
    if path == ("robots",):
        found |= {key: None for key in base if key not in wanted and base[key] is not None}
    return found


def _short(value: Any, short: Any, path: Path) -> Any:
    """Return a value without the fields that have the models' defaults."""
    if isinstance(value, dict) and path[:1] == ("robots",) and len(path) == 2:
        robot = Robot.model_validate(value).model_dump(mode="json", exclude_defaults=True)
        return {"access": value["access"], **robot}
    if isinstance(value, list) and isinstance(short, list) and len(short) == len(value):
        return short
    if isinstance(value, dict) and isinstance(short, dict):
        return short
    if isinstance(value, dict):
        return _without_none(value)
    return value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(below) for key, below in value.items() if below is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value


def is_same(platform: Platform, team: Complete, content: Data) -> bool:
    """Return whether a file, with the platform's defaults, declares the same team."""
    made = complete(platform, Team.model_validate(content)).model_dump(mode="json")
    robots = [
        {purpose: robot for purpose, robot in each["robots"].items() if robot is not None}
        for each in (made, team.full)
    ]
    parts = (
        "harbor",
        "namespace",
        "further_namespaces",
        "oidc_clients",
        "names",
        "members",
        "adopt",
    )
    same = all(made[part] == team.full[part] for part in parts) and robots[0] == robots[1]
    return same and set(made["routes"]) == set(team.full["routes"])
