"""The settings, user profile, client scopes and clients of a new realm."""

from .answers import JSON
from .builtin_scopes import SCOPES, mapper_json
from .client_defaults import add_client
from .state import Realm, new_id

_ADMIN_ROLES = ("offline_access", "uma_authorization")


def new_realm(name: str, given: JSON) -> Realm:
    """Return the realm that Keycloak creates from a representation. It is disabled by default."""
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
    for scope_name, assigned, description, mappers in SCOPES:
        scope: JSON = {
            "id": new_id(),
            "name": scope_name,
            "description": description,
            "protocol": "openid-connect",
            "attributes": {"include.in.token.scope": "true", "display.on.consent.screen": "true"},
        }
        if mappers:
            scope["protocolMappers"] = [mapper_json(*mapper) for mapper in mappers]
        realm.scopes[scope["id"]] = scope
        if assigned:
            realm.default_scopes[scope["id"]] = "default" if assigned == "default" else "optional"
    for client in _clients(name):
        add_client(realm, client)
    return realm


def _clients(realm: str) -> list[JSON]:
    not_realm_client = {"realm_client": "false"}
    logout = {**not_realm_client, "post.logout.redirect.uris": "+"}
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
            "attributes": {
                **not_realm_client,
                "client.use.lightweight.access.token.enabled": "true",
            },
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
