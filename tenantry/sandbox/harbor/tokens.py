"""The token service of Harbor 2.15.2, ``/service/token``, and the tokens that it issues.

A token is valid until it expires, even if its robot is disabled, deleted or gets another secret. It
has all permissions of its owner in the projects of its scopes, not only the requested ones, and is
valid for all repositories of these projects.
"""

import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import compact

ISSUER = "harbor-token-issuer"
SERVICE = "harbor-registry"
LEEWAY = 60  # seconds that a token is accepted after its expiry
_ACTIONS = ("pull", "push", "delete")


@dataclass(frozen=True)
class Token:
    """A valid token.

    Attributes:
        name: The owner; empty if the caller was anonymous.
        issued: The time of issue, in seconds since 1970.
        actions: The allowed actions, by project name. Of several scopes for one project the last one
            counts.
    """

    name: str
    issued: int
    actions: dict[str, list[str]]


@cache
def _new_key() -> str:
    """Return the key of this process. All its sandboxes share it, because a new one takes long."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@cache
def _read(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _key(call: Call) -> rsa.RSAPrivateKey:
    state = call.harbor.state
    state.token_key = state.token_key or _new_key()
    return _read(state.token_key)


@routes.add("GET", "/service/token")
def token(call: Call) -> Response:
    """Return a token with the permissions of the caller.

    A caller with wrong credentials gets a token without permissions, or 401 if no scope is given.
    """
    caller, harbor = call.caller, call.harbor
    scopes = [s for v in call.request.query_params.getlist("scope") for s in v.split()]
    if not scopes and not caller.known:
        return Response(status_code=401)
    now = harbor.clock.now()
    seconds = harbor.configuration["token_expiration"] * 60
    claims = {
        "iss": ISSUER,
        **({"sub": caller.name} if caller.known else {}),
        "aud": call.query.get("service", ""),
        "exp": int(now.timestamp()) + seconds,
        "nbf": int(now.timestamp()),
        "iat": int(now.timestamp()),
        "jti": secrets.token_hex(8),
        "access": [_granted(call, scope) for scope in scopes] or None,
    }
    issued = {
        "token": jwt.encode(claims, _key(call), "RS256", headers={"kid": "sandbox"}),
        "access_token": "",
        "expires_in": seconds,
        "issued_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    harbor.issued_secrets.append(str(issued["token"]))
    return Response(compact(issued), headers={"content-type": "application/json; charset=utf-8"})


def _granted(call: Call, scope: str) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, _ = rest.rpartition(":")
    project = call.harbor.projects.get(name.partition("/")[0])
    actions = [
        action
        for action in _ACTIONS
        if kind == "repository"
        and project
        and not call.harbor.database_is_down
        and access.may(call.harbor, call.caller, action, project, "repository")
    ]
    return {"type": kind, "name": name, "actions": actions}


def read_token(call: Call) -> Token | None:
    """Return the token of the Authorization header, or None if it is missing or invalid."""
    scheme, _, text = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        # The library does not check the times, because they are those of the sandbox's clock.
        claims = jwt.decode(
            text,
            _key(call).public_key(),
            ["RS256"],
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            issuer=ISSUER,
            audience=SERVICE,
        )
    except jwt.InvalidTokenError:
        return None
    if claims["exp"] + LEEWAY <= call.harbor.clock.now().timestamp():
        return None
    actions = {
        granted["name"].partition("/")[0]: granted["actions"]
        for granted in claims["access"] or []
        if granted["type"] == "repository"
    }
    return Token(claims.get("sub", ""), claims["iat"], actions)
