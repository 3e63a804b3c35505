"""The keys of realms, the tokens that they sign, and the claims that mappers add."""

from datetime import datetime
from functools import cache
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .answers import JSON
from .state import Realm, User, new_id

Place = Literal["id", "access", "userinfo"]

# The claims that only the server sets. A control of the sandbox cannot override them.
PROTOCOL = frozenset(
    ("iss", "aud", "azp", "exp", "iat", "nbf", "auth_time", "jti", "sid", "typ", "scope")
)
_PROPERTIES = {
    "username": "username",
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
    "emailVerified": "email_verified",
}


class Keys:
    """The signing keys of the realms, generated on first use."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[str, rsa.RSAPrivateKey]] = {}

    def of(self, realm: Realm) -> rsa.RSAPrivateKey:
        """Return the private key of a realm."""
        if realm.private_key is None and realm.id in self._keys:
            # The realm was loaded from a dump that is older than its key.
            realm.private_key = self._keys[realm.id][0]
        if realm.private_key is None:
            self._keys[realm.id] = _new_key(len(self._keys))
            realm.private_key = self._keys[realm.id][0]
        pem, key = self._keys.get(realm.id, ("", None))
        if key is None or pem != realm.private_key:
            loaded = serialization.load_pem_private_key(realm.private_key.encode(), None)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            key = loaded
            self._keys[realm.id] = (realm.private_key, key)
        return key

    def jwks(self, realm: Realm) -> JSON:
        """Return the public keys of a realm as a JWK set."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.of(realm).public_key(), as_dict=True)
        key = {"kid": kid(realm), "alg": "RS256", "use": "sig", "kty": public["kty"]}
        return {"keys": [{**key, "n": public["n"], "e": public["e"]}]}

    def sign(self, realm: Realm, claims: JSON) -> str:
        """Return a token with these claims."""
        return jwt.encode(claims, self.of(realm), "RS256", {"kid": kid(realm)})

    def read(self, realm: Realm, token: str) -> JSON | None:
        """Return the claims of a token of this realm, even if it has expired, or None."""
        try:
            read: JSON = jwt.decode(
                token,
                self.of(realm).public_key(),
                ["RS256"],
                options={
                    "verify_exp": False,
                    "verify_aud": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError:
            return None
        return read


@cache
def _new_key(number: int) -> tuple[str, rsa.RSAPrivateKey]:
    """Return a key of this process, as PEM and as an object.

    Generating a key takes a tenth of a second. So all sandboxes of a process have the same ones, but
    no two realms of a sandbox do.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode(), key


def kid(realm: Realm) -> str:
    """Return the id of a realm's key."""
    return f"sandbox-{realm.id}"


def effective_scopes(realm: Realm, client: JSON, scope: str) -> list[JSON] | None:
    """Return the default scopes of a client and the requested ones, or None if one is unknown."""
    assigned = realm.client_scopes.get(client["id"], {})
    by_name = {realm.scopes[id]["name"]: id for id in assigned if id in realm.scopes}
    requested = [name for name in scope.split() if name != "openid"]
    if any(name not in by_name for name in requested):
        return None
    wanted = {id for id, kind in assigned.items() if kind == "default"}
    wanted |= {by_name[name] for name in requested}
    return [realm.scopes[id] for id in assigned if id in wanted]


def token_set(
    keys: Keys,
    realm: Realm,
    client: JSON,
    session: str,
    scope: str,
    issuer: str,
    now: datetime,
) -> JSON:
    """Return the answer of the token endpoint for the user of a session."""
    user = realm.users[realm.sessions[session]]
    scopes = effective_scopes(realm, client, scope) or []
    moment = int(now.timestamp())
    life = int(realm.settings["accessTokenLifespan"])
    idle = int(realm.settings["ssoSessionIdleTimeout"])
    names = [scope["name"] for scope in scopes if _in_token(scope)]
    granted = " ".join((["openid"] if "openid" in scope.split() else []) + names)
    common: JSON = {
        "iat": moment,
        "iss": issuer,
        "azp": client["clientId"],
        "sid": session,
    }
    access: JSON = {
        **common,
        "exp": moment + life,
        "jti": new_id(),
        "typ": "Bearer",
        "scope": granted,
        **with_login_claims(realm, session, claims(realm, client, user, scopes, "access", moment)),
    }
    if any(
        mapper["protocolMapper"] == "oidc-audience-resolve-mapper" for mapper in _mappers(scopes)
    ):
        access.setdefault("aud", "account")
    refresh = {
        **common,
        "exp": moment + idle,
        "jti": new_id(),
        "typ": "Refresh",
        "aud": issuer,
        "sub": user.id,
        "scope": granted,
    }
    answer: JSON = {
        "access_token": keys.sign(realm, access),
        "expires_in": life,
        "refresh_expires_in": 0 if "offline_access" in scope.split() else idle,
        "refresh_token": keys.sign(realm, refresh),
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": session,
        "scope": granted,
    }
    if "openid" in scope.split():
        identity = {
            **common,
            "exp": moment + life,
            "jti": new_id(),
            "typ": "ID",
            "aud": client["clientId"],
            "auth_time": moment,
            **with_login_claims(
                realm,
                session,
                {**claims(realm, client, user, scopes, "id", moment), "sub": user.id},
            ),
        }
        answer["id_token"] = keys.sign(realm, identity)
    return answer


def claims(
    realm: Realm, client: JSON, user: User, scopes: list[JSON], place: Place, moment: int
) -> JSON:
    """Return the claims of a user in one kind of token, from the mappers of client and scopes."""
    collected: JSON = {}
    for mapper in [*client.get("protocolMappers", ()), *_mappers(scopes)]:
        config = mapper.get("config", {})
        if config.get(f"{place}.token.claim") != "true":
            continue
        name, value = _claim(realm, mapper["protocolMapper"], config, user, moment)
        if value is not None and name:
            _add_claim(collected, name, value)
    return collected


def with_login_claims(realm: Realm, session: str, known: JSON) -> JSON:
    """Return the claims with those that the sandbox's controls set for the login.

    None removes a claim.
    """
    changed = {**known, **realm.session_claims.get(session, {})}
    return {name: value for name, value in changed.items() if value is not None}


def _claim(
    realm: Realm, kind: str, config: dict[str, str], user: User, moment: int
) -> tuple[str, Any]:
    name = config.get("claim.name", "")
    match kind:
        case "oidc-sub-mapper":
            return "sub", user.id
        case "oidc-usermodel-attribute-mapper" | "oidc-usermodel-property-mapper":
            return name, _attribute(user, config)
        case "oidc-full-name-mapper":
            full = " ".join(part for part in (user.first_name, user.last_name) if part)
            return "name", full or None
        case "oidc-group-membership-mapper":
            groups = [realm.groups[id] for id in user.groups]
            if config.get("full.path", "true") == "true":
                return name, sorted(realm.path(group) for group in groups)
            return name, sorted({group.name for group in groups})
        case "oidc-usermodel-realm-role-mapper":
            return name, realm.roles_of(user)
        case "oidc-hardcoded-claim-mapper":
            return name, config.get("claim.value")
        case "oidc-audience-mapper":
            custom = config.get("included.custom.audience")
            return "aud", config.get("included.client.audience") or custom
        case "oidc-acr-mapper":
            return "acr", "1"
        case "oidc-usersessionmodel-note-mapper":
            return name, moment if config.get("user.session.note") == "AUTH_TIME" else None
    return "", None


def _attribute(user: User, config: dict[str, str]) -> Any:
    wanted = config.get("user.attribute", "")
    if wanted in _PROPERTIES:
        return getattr(user, _PROPERTIES[wanted])
    values = user.attributes.get(wanted)
    if not values:
        return None
    return values if config.get("multivalued") == "true" else values[0]


def _add_claim(claims: JSON, name: str, value: Any) -> None:
    """Add a claim. A dot in its name nests unless it is escaped; several audiences become a list."""
    if name == "aud" and "aud" in claims:
        before = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        claims["aud"] = [*before, value]
        return
    *path, last = [part.replace("\0", ".") for part in name.replace("\\.", "\0").split(".")]
    for part in path:
        claims = claims.setdefault(part, {})
    claims[last] = value


def _mappers(scopes: list[JSON]) -> list[JSON]:
    return [mapper for scope in scopes for mapper in scope.get("protocolMappers", ())]


def _in_token(scope: JSON) -> bool:
    hidden = scope["name"] in ("basic", "roles", "web-origins", "acr", "service_account")
    shown: str = scope.get("attributes", {}).get("include.in.token.scope", "true")
    return shown == "true" and not hidden
