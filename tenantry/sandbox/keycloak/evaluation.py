"""Example tokens: what a client would be told about a user, without anybody logging in.

Only the ID token's; not simulated: the examples of access tokens and of userinfo.
"""

from starlette.responses import Response

from .answers import Call, Routes, answer, not_found
from .clients import found
from .oidc import issuer_of
from .state import Realm, new_id
from .tokens import claims, scopes_in_force

routes = Routes()


@routes("GET", "clients/{client}/evaluate-scopes/generate-example-id-token")
def example_id_token(realm: Realm, call: Call, client_id: str) -> Response:
    """The claims of an ID token for a user, with the scopes asked for."""
    client = found(realm, client_id)
    user = realm.users.get(call.query.get("userId", ""))
    if user is None:
        raise not_found("No user found")
    moment = int(call.now.timestamp())
    scopes = scopes_in_force(realm, client, call.query.get("scope", "")) or []
    life = int(realm.settings["accessTokenLifespan"])
    token = {
        "exp": moment + life,
        "iat": moment,
        "auth_time": moment,
        "jti": new_id(),
        "iss": issuer_of(realm, call.base),
        "aud": client["clientId"],
        "typ": "ID",
        "azp": client["clientId"],
        **claims(realm, client, user, scopes, "id", moment),
        "sub": user.id,
    }
    return answer(token)
