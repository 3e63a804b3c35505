"""Example ID tokens: the claims that a client would receive, without a login of the user.

Not simulated: example access tokens and userinfo.
"""

from starlette.responses import Response

from .answers import Call, Routes, answer, not_found
from .clients import find_client
from .oidc import issuer_of
from .state import Realm, new_id
from .tokens import claims, effective_scopes

routes = Routes()


@routes("GET", "clients/{client}/evaluate-scopes/generate-example-id-token")
def example_id_token(realm: Realm, call: Call, client_id: str) -> Response:
    """Return the claims of an ID token for a user, with the given scopes."""
    client = find_client(realm, client_id)
    user = realm.users.get(call.query.get("userId", ""))
    if user is None:
        raise not_found("No user found")
    moment = int(call.now.timestamp())
    scopes = effective_scopes(realm, client, call.query.get("scope", "")) or []
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
