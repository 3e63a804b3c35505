"""Merges a team's fields with the defaults of its profile and of the platform."""

from collections.abc import Mapping
from typing import Any

from tenantry.declared.adopt import by_system
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team, TeamSettings

Data = dict[str, Any]

BUILT_IN: Data = {
    "robots": {
        "pull": {"access": ["repository:pull"], "attach": True},
        # docker checks whether a blob exists before it pushes it, which needs the pull permission.
        "ci": {"access": ["repository:pull", "repository:push"]},
    }
}
"""The built-in defaults of a team, which the platform and the team can override."""


def complete(platform: Platform, team: Team) -> Team:
    """Return the team with all defaults. Its own values override its profile's, then the platform's."""
    profile = platform.profiles.get(team.profile or "", TeamSettings())
    data: Data = BUILT_IN
    for layer in (platform.defaults, profile, team):
        own = layer.model_dump(mode="json", exclude_unset=True)
        if "adopt" in own:
            own["adopt"] = by_system(own["adopt"])
        data = merge(data, own)
    namespace = data.get("namespace", {})
    further = data.get("further_namespaces", {})
    data["further_namespaces"] = {key: merge(namespace, own) for key, own in further.items()}
    return Team.model_validate(data).with_patterns(platform.names)


def merge(under: Data, over: Data) -> Data:
    """Return `under` merged with `over`, key by key. Values other than mappings are replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(below, value) if both and isinstance(below, dict) else value
    return merged


def plain(data: Any) -> Any:
    """Return parsed YAML as plain dicts and lists, without the parser's own types."""
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    return data
