"""What every new realm has: its settings, user profile, client scopes and clients."""

from typing import Any

from .answers import JSON
from .state import Realm, new_id, new_secret

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

# Name, how a realm assigns it to new clients, description, mappers.
_SCOPES: list[tuple[str, str | None, str, list[Mapper]]] = [
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

_ADMIN_ROLES = ("offline_access", "uma_authorization")


def mapper(name: str, kind: str, config: dict[str, str], protocol: str = "openid-connect") -> JSON:
    """A protocol mapper's representation."""
    return {
        "id": new_id(),
        "name": name,
        "protocol": protocol,
        "protocolMapper": kind,
        "consentRequired": False,
        "config": config,
    }


def new_realm(name: str, given: JSON) -> Realm:
    """A realm as Keycloak makes it from a representation; `enabled` has no default but false."""
    realm = Realm(
        name=name,
        id=given.get("id") or new_id(),
        settings={**_settings(name), **{k: v for k, v in given.items() if v is not None}},
        profile=_profile(),
    )
    realm.settings["attributes"] = {**_settings(name)["attributes"], **given.get("attributes", {})}
    realm.settings["id"] = realm.id
    roles = [realm.default_role, *_ADMIN_ROLES]
    if name == "master":
        roles += ["admin", "create-realm"]
    realm.roles = {role: new_id() for role in roles}
    for scope_name, assigned, description, mappers in _SCOPES:
        scope: JSON = {
            "id": new_id(),
            "name": scope_name,
            "description": description,
            "protocol": "openid-connect",
            "attributes": {"include.in.token.scope": "true", "display.on.consent.screen": "true"},
        }
        if mappers:
            scope["protocolMappers"] = [mapper(*each) for each in mappers]
        realm.scopes[scope["id"]] = scope
        if assigned:
            realm.default_scopes[scope["id"]] = "default" if assigned == "default" else "optional"
    for client in _clients(name):
        add_client(realm, client)
    return realm


def add_client(realm: Realm, given: JSON) -> JSON:
    """A client with the defaults the server adds, assigned the realm's default scopes."""
    undecided = given.get("publicClient") is None and given.get("bearerOnly") is None
    public = bool(given.get("publicClient", undecided))
    client: JSON = {
        "id": given.get("id") or new_id(),
        "clientId": given["clientId"],
        "surrogateAuthRequired": False,
        "enabled": True,
        "alwaysDisplayInConsole": False,
        "clientAuthenticatorType": "client-secret",
        "redirectUris": [],
        "webOrigins": [],
        "notBefore": 0,
        "bearerOnly": False,
        "consentRequired": False,
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": True,
        "serviceAccountsEnabled": False,
        "frontchannelLogout": False,
        "protocol": "openid-connect",
        "authenticationFlowBindingOverrides": {},
        "fullScopeAllowed": True,
        "nodeReRegistrationTimeout": -1,
    }
    left_out = ("protocolMappers", "defaultClientScopes", "optionalClientScopes", "access")
    client |= {k: v for k, v in given.items() if v is not None and k not in left_out}
    client["publicClient"] = public
    client["attributes"] = {k: v for k, v in given.get("attributes", {}).items() if v}
    root = given.get("rootUrl")
    if root and not given.get("redirectUris"):
        client["redirectUris"] = [root.rstrip("/") + "/*"]
        client["webOrigins"] = ["/".join(root.split("/")[:3])]
    keep_as_sets(client)
    if not public and not client["bearerOnly"] and not client.get("secret"):
        client["secret"] = new_secret()
    if given.get("protocolMappers"):
        client["protocolMappers"] = [
            {"consentRequired": False, "config": {}, **each, "id": each.get("id") or new_id()}
            for each in given["protocolMappers"]
        ]
    realm.clients[client["id"]] = client
    realm.client_scopes[client["id"]] = _assigned(realm, given)
    if client["serviceAccountsEnabled"]:
        scope = realm.scope_named("service_account")
        if scope:
            realm.client_scopes[client["id"]][scope["id"]] = "default"
    return client


def keep_as_sets(client: JSON) -> None:
    """Keep a client's addresses as Keycloak does: each once."""
    for key in ("redirectUris", "webOrigins"):
        client[key] = list(dict.fromkeys(each for each in client[key] if each))


def _assigned(realm: Realm, given: JSON) -> dict[str, Any]:
    """The client's scopes: those it names (unknown names are ignored), else the realm's."""
    assigned: dict[str, Any] = {}
    for kind, key in (("default", "defaultClientScopes"), ("optional", "optionalClientScopes")):
        names = given.get(key)
        if names is None:
            assigned |= {k: v for k, v in realm.default_scopes.items() if v == kind}
            continue
        for name in names:
            scope = realm.scope_named(name)
            if scope:
                assigned[scope["id"]] = kind
    return assigned


def _clients(realm: str) -> list[JSON]:
    ours = {"realm_client": "false"}
    logout = {**ours, "post.logout.redirect.uris": "+"}
    pkce = {**logout, "pkce.code.challenge.method": "S256"}
    flows = {"directAccessGrantsEnabled": False, "fullScopeAllowed": False}
    account = {"rootUrl": "${authBaseUrl}", "baseUrl": f"/realms/{realm}/account/"}
    to_account = {"redirectUris": [f"/realms/{realm}/account/*"]}
    clients: list[JSON] = [
        {
            "clientId": "account",
            "publicClient": True,
            "attributes": logout,
            **flows,
            **account,
            **to_account,
        },
        {
            "clientId": "account-console",
            "publicClient": True,
            "attributes": pkce,
            **flows,
            **account,
            **to_account,
        },
        {
            "clientId": "admin-cli",
            "publicClient": True,
            "standardFlowEnabled": False,
            "attributes": {**ours, "client.use.lightweight.access.token.enabled": "true"},
        },
        {"clientId": "broker", "bearerOnly": True, "attributes": {"realm_client": "true"}, **flows},
        {
            "clientId": "master-realm" if realm == "master" else "realm-management",
            "bearerOnly": True,
            "attributes": {"realm_client": "true"},
            **flows,
        },
        {
            "clientId": "security-admin-console",
            "publicClient": True,
            "attributes": pkce,
            "directAccessGrantsEnabled": False,
            "rootUrl": "${authAdminUrl}",
            "baseUrl": f"/admin/{realm}/console/",
            "redirectUris": [f"/admin/{realm}/console/*"],
            "webOrigins": ["+"],
        },
    ]
    for client in clients:
        client["name"] = "${client_" + client["clientId"] + "}"
    return clients


def _settings(name: str) -> JSON:
    return {
        "realm": name,
        "displayName": "Keycloak" if name == "master" else None,
        "notBefore": 0,
        "defaultSignatureAlgorithm": "RS256",
        "revokeRefreshToken": False,
        "refreshTokenMaxReuse": 0,
        "accessTokenLifespan": 60 if name == "master" else 300,
        "accessTokenLifespanForImplicitFlow": 900,
        "ssoSessionIdleTimeout": 1800,
        "ssoSessionMaxLifespan": 36000,
        "offlineSessionIdleTimeout": 2592000,
        "offlineSessionMaxLifespanEnabled": False,
        "accessCodeLifespan": 60,
        "accessCodeLifespanUserAction": 300,
        "accessCodeLifespanLogin": 1800,
        "actionTokenGeneratedByAdminLifespan": 43200,
        "actionTokenGeneratedByUserLifespan": 300,
        "enabled": False,
        "sslRequired": "external",
        "registrationAllowed": False,
        "registrationEmailAsUsername": False,
        "rememberMe": False,
        "verifyEmail": False,
        "loginWithEmailAllowed": True,
        "duplicateEmailsAllowed": False,
        "resetPasswordAllowed": False,
        "editUsernameAllowed": False,
        "bruteForceProtected": False,
        "permanentLockout": False,
        "maxFailureWaitSeconds": 900,
        "failureFactor": 30,
        "requiredCredentials": ["password"],
        "browserSecurityHeaders": {"xFrameOptions": "SAMEORIGIN", "referrerPolicy": "no-referrer"},
        "smtpServer": {},
        "eventsEnabled": False,
        "eventsListeners": ["jboss-logging"],
        "enabledEventTypes": [],
        "adminEventsEnabled": False,
        "adminEventsDetailsEnabled": False,
        "internationalizationEnabled": False,
        "browserFlow": "browser",
        "registrationFlow": "registration",
        "directGrantFlow": "direct grant",
        "resetCredentialsFlow": "reset credentials",
        "clientAuthenticationFlow": "clients",
        "dockerAuthenticationFlow": "docker auth",
        "firstBrokerLoginFlow": "first broker login",
        "attributes": {
            "cibaBackchannelTokenDeliveryMode": "poll",
            "cibaExpiresIn": "120",
            "cibaInterval": "5",
            "cibaAuthRequestedUserHint": "login_hint",
            "parRequestUriLifespan": "60",
            "realmReusableOtpCode": "false",
            "oauth2DeviceCodeLifespan": "600",
            "oauth2DevicePollingInterval": "5",
        },
        "userManagedAccessAllowed": False,
        "organizationsEnabled": False,
        "verifiableCredentialsEnabled": False,
        "adminPermissionsEnabled": False,
    }


def _profile() -> JSON:
    both = {"view": ["admin", "user"], "edit": ["admin", "user"]}
    names = {"length": {"max": 255}, "person-name-prohibited-characters": {}}
    attributes = [
        (
            "username",
            {
                "length": {"min": 3, "max": 255},
                "username-prohibited-characters": {},
                "up-username-not-idn-homograph": {},
            },
        ),
        ("email", {"email": {}, "length": {"max": 255}}),
        ("firstName", names),
        ("lastName", names),
    ]
    return {
        "attributes": [
            {
                "name": name,
                "displayName": f"${{{name}}}",
                "validations": validations,
                **({} if name == "username" else {"required": {"roles": ["user"]}}),
                "permissions": both,
                "multivalued": False,
            }
            for name, validations in attributes
        ],
        "groups": [
            {
                "name": "user-metadata",
                "displayHeader": "User metadata",
                "displayDescription": "Attributes, which refer to user metadata",
            }
        ],
    }
