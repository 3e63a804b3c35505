"""Client policies, as far as one thing goes: the executor `secret-rotation`.

It is a preview of Keycloak's that is off unless the server is built with the feature
`client-secret-rotation`, as the sandbox's is. Of conditions, `any-client` and
`client-access-type` are known.
"""

from datetime import datetime
from typing import Any

from starlette.responses import Response

from .answers import JSON, Call, Routes, answer, done, invalid, not_found
from .state import Realm, new_secret

routes = Routes()

ROTATED = "client.secret.rotated"
_CREATED = "client.secret.creation.time"
_ENDS = "client.secret.expiration.time"
_OLD_CREATED = "client.secret.rotated.creation.time"
_OLD_ENDS = "client.secret.rotated.expiration.time"
_OLD = (ROTATED, _OLD_CREATED, _OLD_ENDS)

_EXECUTOR = "secret-rotation"
_PERIODS = {"expiration-period": 29 * 86400, "rotated-expiration-period": 2 * 86400}


@routes("GET", "client-policies/profiles")
def get_profiles(realm: Realm, call: Call) -> Response:
    """The realm's own profiles."""
    return answer({"profiles": realm.client_policies["profiles"]})


@routes("PUT", "client-policies/profiles")
def set_profiles(realm: Realm, call: Call) -> Response:
    """Sets all profiles at once."""
    for profile in call.body.get("profiles") or ():
        for executor in profile.get("executors") or ():
            if executor.get("executor") != _EXECUTOR:
                raise invalid(
                    "proposed client profile contains the executor, which does not have valid "
                    "provider, or has invalid configuration."
                )
    realm.client_policies["profiles"] = call.body.get("profiles") or []
    return done()


@routes("GET", "client-policies/policies")
def get_policies(realm: Realm, call: Call) -> Response:
    """The realm's policies."""
    return answer({"policies": realm.client_policies["policies"]})


@routes("PUT", "client-policies/policies")
def set_policies(realm: Realm, call: Call) -> Response:
    """Sets all policies at once."""
    realm.client_policies["policies"] = call.body.get("policies") or []
    return done()


def rotation(realm: Realm, client: JSON) -> dict[str, Any] | None:
    """The executor's periods in seconds where a policy has it act on the client."""
    profiles = {each["name"]: each for each in realm.client_policies["profiles"]}
    for policy in realm.client_policies["policies"]:
        if policy.get("enabled") and all(_meets(client, c) for c in policy["conditions"]):
            for name in policy.get("profiles") or ():
                for executor in profiles.get(name, {}).get("executors") or ():
                    return {**_PERIODS, **(executor.get("configuration") or {})}
    return None


def _meets(client: JSON, condition: JSON) -> bool:
    if condition["condition"] == "any-client":
        return True
    types = (condition.get("configuration") or {}).get("type") or ()
    kind = "public" if client["publicClient"] else "confidential"
    return condition["condition"] == "client-access-type" and kind in types


def renewed(realm: Realm, client: JSON, now: datetime) -> str:
    """Gives the client a new secret; the old one is kept beside it where a policy says so."""
    periods, moment = rotation(realm, client), int(now.timestamp())
    attributes, old = client["attributes"], client.get("secret")
    client["secret"] = new_secret()
    attributes[_CREATED] = str(moment)
    if periods is None:
        forget(client)
    else:
        attributes[_ENDS] = str(moment + periods["expiration-period"])
        attributes[ROTATED], attributes[_OLD_CREATED] = old, str(moment)
        attributes[_OLD_ENDS] = str(moment + periods["rotated-expiration-period"])
    return str(client["secret"])


def updated(realm: Realm, client: JSON, now: datetime) -> None:
    """What a PUT of the client does to its secrets."""
    periods, moment = rotation(realm, client), int(now.timestamp())
    if periods is None:
        forget(client)
    elif _ENDS not in client["attributes"]:
        client["attributes"][_ENDS] = str(moment + periods["expiration-period"])
    elif int(client["attributes"][_ENDS]) < moment:
        renewed(realm, client, now)


def forget(client: JSON) -> None:
    """Takes the old secret back."""
    for name in _OLD:
        client["attributes"].pop(name, None)


def takes(realm: Realm, client: JSON, secret: str | None, now: datetime) -> bool:
    """Whether a secret opens: the client's, or the one before while that overlaps."""
    if secret == client["secret"]:
        return True
    old = client["attributes"].get(ROTATED)
    return (
        old is not None
        and secret == old
        and rotation(realm, client) is not None
        and int(client["attributes"][_OLD_ENDS]) > now.timestamp()
    )


@routes("GET", "clients/{client}/client-secret/rotated")
def get_rotated(realm: Realm, call: Call, client_id: str) -> Response:
    """The secret before the client's."""
    old = _client(realm, client_id)["attributes"].get(ROTATED)
    if old is None:
        raise not_found("Client does not have a rotated secret")
    return answer({"type": "secret", "value": old})


@routes("DELETE", "clients/{client}/client-secret/rotated")
def delete_rotated(realm: Realm, call: Call, client_id: str) -> Response:
    """Takes it back."""
    forget(_client(realm, client_id))
    return done()


def _client(realm: Realm, client_id: str) -> JSON:
    client = realm.clients.get(client_id)
    if client is None:
        raise not_found("Could not find client")
    return client
