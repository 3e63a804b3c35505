"""The token service of Harbor 2.15.2, ``/service/token``, and what a token of it opens.

A token is good until it expires, whatever has become of the robot that got it: disabled, deleted or
with another secret. It holds all that its owner may do in the projects of its scopes, not only what
was asked for, and opens each of those projects as a whole.
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
LEEWAY = 60  # seconds that a token is accepted beyond its end
_ACTIONS = ("pull", "push", "delete")


@dataclass(frozen=True)
class Token:
    """A token that was shown and is good.

    Attributes:
        name: Whose it is; empty if it was given to nobody.
        issued: Seconds since 1970.
        actions: What it allows, by the name of the project. Of several scopes of one project the
            last one counts.
    """

    name: str
    issued: int
    actions: dict[str, list[str]]


@cache
def _new_key() -> str:
    """A key of this process: to make one for each of its sandboxes would take too long."""
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
    """A token of what the caller may do, of nothing for a refused one; 401 only without scope."""
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


def shown(call: Call) -> Token | None:
    """The token of the Authorization header; None if there is none or it is not good."""
    scheme, _, text = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        # The times are the sandbox clock's, so they are not left to the library.
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
