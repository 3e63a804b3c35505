"""The client scopes that every new realm has, with their mappers."""

from .answers import JSON
from .state import new_id

Mapper = tuple[str, str, dict[str, str]]


def _attribute(name: str, attribute: str, claim: str, kind: str = "String") -> Mapper:
    config = {
        "introspection.token.claim": "true",
        "userinfo.token.claim": "true",
        "user.attribute": attribute,
        "id.token.claim": "true",
        "access.token.claim": "true",
        "claim.name": claim,
        "jsonType.label": kind,
    }
    return name, "oidc-usermodel-attribute-mapper", config


def _property(name: str, prop: str, claim: str, kind: str = "String") -> Mapper:
    return name, "oidc-usermodel-property-mapper", _attribute(name, prop, claim, kind)[2]


_IN_ACCESS = {"introspection.token.claim": "true", "access.token.claim": "true"}
_ROLES = {**_IN_ACCESS, "multivalued": "true", "user.attribute": "foo", "jsonType.label": "String"}
_NOTE = "oidc-usersessionmodel-note-mapper"


# Name, assignment to new clients of the realm, description, mappers.
SCOPES: list[tuple[str, str | None, str, list[Mapper]]] = [
    (
        "basic",
        "default",
        "OpenID Connect scope for add all basic claims to the token",
        [
            ("sub", "oidc-sub-mapper", dict(_IN_ACCESS)),
            (
                "auth_time",
                _NOTE,
                {
                    **_IN_ACCESS,
                    "user.session.note": "AUTH_TIME",
                    "id.token.claim": "true",
                    "claim.name": "auth_time",
                    "jsonType.label": "long",
                },
            ),
        ],
    ),
    (
        "profile",
        "default",
        "OpenID Connect built-in scope: profile",
        [
            _attribute("username", "username", "preferred_username"),
            _attribute("given name", "firstName", "given_name"),
            _attribute("family name", "lastName", "family_name"),
            (
                "full name",
                "oidc-full-name-mapper",
                {**_IN_ACCESS, "id.token.claim": "true", "userinfo.token.claim": "true"},
            ),
            _attribute("locale", "locale", "locale"),
        ],
    ),
    (
        "email",
        "default",
        "OpenID Connect built-in scope: email",
        [
            _attribute("email", "email", "email"),
            _property("email verified", "emailVerified", "email_verified", "boolean"),
        ],
    ),
    (
        "roles",
        "default",
        "OpenID Connect scope for add user roles to the access token",
        [
            (
                "realm roles",
                "oidc-usermodel-realm-role-mapper",
                {**_ROLES, "claim.name": "realm_access.roles"},
            ),
            (
                "client roles",
                "oidc-usermodel-client-role-mapper",
                {**_ROLES, "claim.name": "resource_access.${client_id}.roles"},
            ),
            ("audience resolve", "oidc-audience-resolve-mapper", dict(_IN_ACCESS)),
        ],
    ),
    (
        "web-origins",
        "default",
        "OpenID Connect scope for add allowed web origins to the access token",
        [("allowed web origins", "oidc-allowed-origins-mapper", dict(_IN_ACCESS))],
    ),
    (
        "acr",
        "default",
        "OpenID Connect scope for add acr (authentication context class reference) to the token",
        [("acr loa level", "oidc-acr-mapper", {**_IN_ACCESS, "id.token.claim": "true"})],
    ),
    ("offline_access", "optional", "OpenID Connect built-in scope: offline_access", []),
    (
        "address",
        "optional",
        "OpenID Connect built-in scope: address",
        [
            (
                "address",
                "oidc-address-mapper",
                {**_IN_ACCESS, "id.token.claim": "true", "userinfo.token.claim": "true"},
            )
        ],
    ),
    (
        "phone",
        "optional",
        "OpenID Connect built-in scope: phone",
        [_attribute("phone number", "phoneNumber", "phone_number")],
    ),
    (
        "microprofile-jwt",
        "optional",
        "Microprofile - JWT built-in scope",
        [
            _attribute("upn", "username", "upn"),
            (
                "groups",
                "oidc-usermodel-realm-role-mapper",
                {**_ROLES, "id.token.claim": "true", "claim.name": "groups"},
            ),
        ],
    ),
    (
        "organization",
        "optional",
        "Additional claims about the organization a subject belongs to",
        [
            (
                "organization",
                "oidc-organization-membership-mapper",
                {**_IN_ACCESS, "id.token.claim": "true", "claim.name": "organization"},
            )
        ],
    ),
    (
        "service_account",
        None,
        "Specific scope for a client enabled for service accounts",
        [
            (
                name,
                _NOTE,
                {**_IN_ACCESS, "user.session.note": note, "claim.name": note},
            )
            for name, note in (
                ("Client ID", "client_id"),
                ("Client Host", "clientHost"),
                ("Client IP Address", "clientAddress"),
            )
        ],
    ),
]


def mapper_json(
    name: str, kind: str, config: dict[str, str], protocol: str = "openid-connect"
) -> JSON:
    """Return the representation of a protocol mapper."""
    return {
        "id": new_id(),
        "name": name,
        "protocol": protocol,
        "protocolMapper": kind,
        "consentRequired": False,
        "config": config,
    }
