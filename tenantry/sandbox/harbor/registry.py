"""What of Harbor 2.15.2 docker logs in at: ``/service/token`` and ``/v2/``.

The images behind it are in images.py.
"""

import secrets
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import compact

ISSUER = "harbor-token-issuer"
_ACTIONS = ("pull", "push", "delete")


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


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
        "token": jwt.encode(claims, _key(), "RS256", headers={"kid": "sandbox"}),
        "access_token": "",
        "expires_in": seconds,
        "issued_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    harbor.issued_secrets.append(str(issued["token"]))
    return Response(compact(issued), headers={"content-type": "application/json; charset=utf-8"})


def _granted(call: Call, scope: str) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, wanted = rest.rpartition(":")
    project = call.harbor.projects.get(name.partition("/")[0])
    actions = [
        action
        for action in _ACTIONS
        if kind == "repository"
        and project
        and action in wanted.split(",")
        and access.may(call.harbor, call.caller, action, project, "repository")
    ]
    return {"type": kind, "name": name, "actions": actions}


@routes.add("GET", "/v2")
def version_check(call: Call) -> Response:
    """Whether the caller is let in, and how to get in: Basic says that credentials were refused."""
    header = call.request.headers.get("authorization", "")
    headers = {"docker-distribution-api-version": "registry/2.0"}
    if call.caller.known or token_claims(call):
        return Response("{}", headers={**headers, "content-type": "application/json"})
    said = 'Basic realm="harbor"' if header else challenge(call)
    error = {"code": "UNAUTHORIZED", "message": "unauthorized: unauthorized"}
    return Response(
        compact({"errors": [error]}) + "\n",
        401,
        headers={
            **headers,
            "content-type": "application/json; charset=utf-8",
            "www-authenticate": said,
        },
    )


def challenge(call: Call) -> str:
    """Where docker gets its tokens."""
    return f'Bearer realm="{call.harbor.ext_endpoint}/service/token",service="harbor-registry"'


def token_claims(call: Call) -> dict[str, Any] | None:
    """What the token in the Authorization header says, if it is one of ours and in force."""
    scheme, _, shown = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        # The times are the sandbox clock's, so they are not left to the library.
        claims: dict[str, Any] = jwt.decode(
            shown,
            _key().public_key(),
            ["RS256"],
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            },
            issuer=ISSUER,
        )
    except jwt.InvalidTokenError:
        return None
    return claims if int(claims["exp"]) > call.harbor.clock.now().timestamp() else None
