"""The JSON Schema of a team for the API and the run form.

Prefect generates its form from `properties`, and validates calls with the whole schema. The schema
has no defaults, because the form would send each shown default, which would override the platform
and the profile. For a value that does not match a pattern, Prefect's message would quote the regular
expression; `_in_words` makes it quote a readable rule instead.
"""

from functools import cache
from typing import Any, get_args

from tenantry.declared import offboarding
from tenantry.declared.form import TEXTS
from tenantry.declared.harbor_project import Role
from tenantry.declared.team import Team
from tenantry.declared.types import NAME_PATTERN

Schema = dict[str, Any]

_FORM: dict[str, Schema] = {
    "name": {
        "type": "string",
        "title": "Name",
        "description": "1 to 58 lower-case letters and digits, in words joined by single dashes, "
        "such as shop. The platform's patterns of names, such as team-shop, give the names of the "
        "namespace, the Harbor project and the group.",
    },
    "display_name": {
        "type": "string",
        "title": "Display name",
        "description": "The team's name for people.",
    },
    "contact": {
        "type": "string",
        "title": "Contact",
        "description": "The team's contact, such as an e-mail address or a chat channel.",
    },
    "profile": {
        "type": "string",
        "title": "Profile",
        "description": "A profile of platform.yaml, such as production. If empty, the team gets "
        "the platform's defaults.",
    },
    "members": {
        "type": "array",
        "items": {"type": "string"},
        "title": "Members",
        "description": "User names of the group's members in Keycloak. If empty, Tenantry does not "
        "manage the group's membership.",
    },
    "quota": {
        "type": "string",
        "title": "Storage quota",
        "description": "The storage quota of the Harbor project, such as 10Gi or unlimited. If "
        "empty, the profile's or the platform's quota applies.",
    },
    "roles": {
        "type": "array",
        "title": "Roles",
        "description": "Further groups that get a role in the Harbor project.",
        "items": {
            "type": "object",
            "title": "Role",
            "properties": {
                "group": {"type": "string", "title": "Group", "description": "An OIDC group."},
                "role": {"type": "string", "title": "Role", "enum": list(get_args(Role))},
            },
        },
    },
    "more": {
        "title": "More",
        "description": "All other fields of a team file, as YAML or JSON. For example: "
        "namespace: {quota: {requests.cpu: 8}}",
        "anyOf": [
            {"type": "string", "title": "YAML or JSON"},
            {"type": "object", "title": "Object"},
        ],
    },
}


@cache
def form_schema() -> Schema:
    """Return the schema, which accepts all fields of a team file and shows those of the form."""
    team = Team.model_json_schema()
    known = {
        key: _for_calls(value, team)
        for key, value in team["properties"].items()
        if key != offboarding.KEY  # only the flow offboard-team sets it
    }
    shown = {key: dict(value) for key, value in _FORM.items()}
    shown["name"] |= _in_words(58)
    texts = {key: schema for key, schema in known.items() if key not in shown}
    assert set(TEXTS) <= shown.keys() & known.keys()
    return {
        "type": "object",
        "title": "Team",
        "properties": shown,
        "required": ["name"],
        "patternProperties": {f"^{key}$": schema for key, schema in texts.items()},
        "propertyNames": {"enum": [*shown, *texts]},
    }


def _in_words(longest: int) -> Schema:
    """Return the schema of names for which a validator reports a readable rule: 'RULE was expected'.

    Python's `$` also matches before a line break at the end; the lookahead refuses that.
    """
    rule = (
        f"1 to {longest} lower-case letters and digits, in words joined by single dashes, with at "
        "least one letter"
    )
    name = {"pattern": f"{NAME_PATTERN}(?!\\n)", "maxLength": longest}
    return {"if": {"type": "string", "not": name}, "then": {"const": rule}}


def _for_calls(node: Any, root: Schema) -> Any:
    """Return a part of the team schema for the API: references resolved, no defaults.

    Patterns without a readable rule are removed. The run itself validates all fields, with a
    message for each one.
    """
    if isinstance(node, list):
        return [_for_calls(each, root) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _for_calls(root["$defs"][node["$ref"].rsplit("/", 1)[-1]], root)
    known: Schema = {}
    for key, value in node.items():
        if key == "properties":
            known[key] = {name: _for_calls(each, root) for name, each in value.items()}
        elif key == "patternProperties":
            (known["additionalProperties"],) = (_for_calls(each, root) for each in value.values())
        elif key == "propertyNames":
            longest = value.get("maxLength")
            named = NAME_PATTERN in node.get("patternProperties", {})
            known[key] = _in_words(longest) if named else _for_calls(value, root)
        elif key == "pattern":
            if value == NAME_PATTERN:
                known |= _in_words(node["maxLength"])
        elif key not in ("default", "title", "description", "minLength", "maxLength"):
            known[key] = _for_calls(value, root)
    return known
