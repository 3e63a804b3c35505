"""The protocol mappers of clients and client scopes."""

from .answers import (
    JSON,
    duplicate,
    exists,
    not_found,
)
from .state import new_id

TYPES = {
    *(
        f"oidc-{name}-mapper"
        for name in (
            "acr",
            "address",
            "allowed-origins",
            "amr",
            "audience",
            "audience-resolve",
            "claims-param-token",
            "full-name",
            "group-membership",
            "hardcoded-claim",
            "hardcoded-role",
            "organization-membership",
            "role-name",
            "sha256-pairwise-sub",
            "sub",
            "usermodel-attribute",
            "usermodel-client-role",
            "usermodel-property",
            "usermodel-realm-role",
            "usersessionmodel-note",
        )
    ),
    *(
        f"saml-{name}-mapper"
        for name in ("group-membership", "role-list", "user-attribute", "user-property")
    ),
}

# The server adds the second key to a mapper's configuration, with the value of the first one.
_MIRRORED = {
    "access.token.claim": "introspection.token.claim",
    "id.token.claim": "userinfo.token.claim",
}
_NO_USERINFO = {"oidc-allowed-origins-mapper", "oidc-audience-resolve-mapper"}


def complete_config(mapper: JSON) -> dict[str, str]:
    """Return the configuration of a mapper with the keys that the server adds."""
    config = {key: value for key, value in (mapper.get("config") or {}).items() if value != ""}
    kind = mapper.get("protocolMapper") or ""
    if not kind.startswith("oidc-") or kind == "oidc-organization-membership-mapper":
        return config
    for first, second in _MIRRORED.items():
        if first in config and not (second.startswith("userinfo") and kind in _NO_USERINFO):
            config.setdefault(second, config[first])
    return config


def add_mapper(holder: JSON, rep: JSON) -> JSON:
    """Add a mapper to a client or client scope and return it; raise Refused if it is invalid."""
    if rep.get("protocolMapper") not in TYPES:
        raise not_found("ProtocolMapper provider not found")
    if rep.get("name") is None or rep.get("protocol") is None:
        raise duplicate()
    mappers = holder.get("protocolMappers", [])
    if any(mapper["name"] == rep["name"] for mapper in mappers):
        raise exists("Protocol mapper exists with same name")
    mapper = {
        "id": rep.get("id") or new_id(),
        "name": rep["name"],
        "protocol": rep["protocol"],
        "protocolMapper": rep["protocolMapper"],
        "consentRequired": False,
        "config": complete_config(rep),
    }
    holder["protocolMappers"] = [*mappers, mapper]
    return mapper


def set_mappers(holder: JSON, reps: list[JSON]) -> None:
    """Replace the mappers of a client. A mapper whose name exists keeps its id."""
    existing = {mapper["name"]: mapper for mapper in holder.pop("protocolMappers", [])}
    for rep in reps:
        old = existing.get(rep.get("name"))
        add_mapper(holder, {**rep, "id": old["id"] if old else None})
