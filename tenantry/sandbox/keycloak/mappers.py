"""Protocol mappers: what a client and a client scope may hold of them."""

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

# What the server adds to a mapper's configuration: the second key, with the first one's value.
_MIRRORED = {
    "access.token.claim": "introspection.token.claim",
    "id.token.claim": "userinfo.token.claim",
}
_NO_USERINFO = {"oidc-allowed-origins-mapper", "oidc-audience-resolve-mapper"}


def completed(mapper: JSON) -> dict[str, str]:
    """The mapper's configuration with what the server adds to it."""
    config = {key: value for key, value in (mapper.get("config") or {}).items() if value != ""}
    kind = mapper.get("protocolMapper") or ""
    if not kind.startswith("oidc-") or kind == "oidc-organization-membership-mapper":
        return config
    for first, second in _MIRRORED.items():
        if first in config and not (second.startswith("userinfo") and kind in _NO_USERINFO):
            config.setdefault(second, config[first])
    return config


def add_mapper(holder: JSON, rep: JSON) -> JSON:
    """Give a client or client scope a mapper; Refused where the server refuses it."""
    if rep.get("protocolMapper") not in TYPES:
        raise not_found("ProtocolMapper provider not found")
    if rep.get("name") is None or rep.get("protocol") is None:
        raise duplicate()
    mappers = holder.get("protocolMappers", [])
    if any(each["name"] == rep["name"] for each in mappers):
        raise exists("Protocol mapper exists with same name")
    mapper = {
        "id": rep.get("id") or new_id(),
        "name": rep["name"],
        "protocol": rep["protocol"],
        "protocolMapper": rep["protocolMapper"],
        "consentRequired": False,
        "config": completed(rep),
    }
    holder["protocolMappers"] = [*mappers, mapper]
    return mapper


def synchronized(holder: JSON, reps: list[JSON]) -> None:
    """Make a client's mappers those given: a name that it has keeps its id, what is left out goes."""
    held = {each["name"]: each for each in holder.pop("protocolMappers", [])}
    for rep in reps:
        kept = held.get(rep.get("name"))
        add_mapper(holder, {**rep, "id": kept["id"] if kept else None})
