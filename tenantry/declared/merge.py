"""Defaults and plain data: what a team gets from the platform and from its profile."""

from collections.abc import Mapping
from typing import Any

from tenantry.declared.platform import Platform
from tenantry.declared.team import Team, TeamSettings

Data = dict[str, Any]

BUILT_IN: Data = {
    "robots": {
        "pull": {"access": ["repository:pull"], "attach": True},
        # docker looks at a blob before it pushes it: push alone is not enough.
        "ci": {"access": ["repository:pull", "repository:push"]},
    }
}
"""What a team gets if neither it nor the platform says otherwise."""


def complete(platform: Platform, team: Team) -> Team:
    """Return the team with defaults: its own values first, then its profile's, then the platform's."""
    profile = platform.profiles.get(team.profile or "", TeamSettings())
    data: Data = BUILT_IN
    for layer in (platform.defaults, profile, team):
        data = merge(data, layer.model_dump(mode="json", exclude_unset=True))
    namespace = data.get("namespace", {})
    further = data.get("further_namespaces", {})
    data["further_namespaces"] = {key: merge(namespace, own) for key, own in further.items()}
    return Team.model_validate(data)


def merge(under: Data, over: Data) -> Data:
    """Mappings merged key by key, `over` first; everything else is taken whole."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(below, value) if both and isinstance(below, dict) else value
    return merged


def plain(data: Any) -> Any:
    """Parsed YAML as plain dicts and lists, without what the parser hangs on them."""
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    return data
