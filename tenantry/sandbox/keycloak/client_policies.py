"""Client policies with one executor: `secret-rotation`.

In Keycloak this is a preview, which must be enabled with the feature `client-secret-rotation`. The
sandbox has it enabled. The known conditions are `any-client` and `client-access-type`.
"""

from datetime import datetime
from typing import Any

from starlette.responses import Response

from .answers import JSON, Call, Routes, answer, done, invalid, not_found
from .state import Realm, new_secret

routes = Routes()

ROTATED = "client.secret.rotated"
_CREATED = "client.secret.creation.time"
_EXPIRES = "client.secret.expiration.time"
_OLD_CREATED = "client.secret.rotated.creation.time"
_OLD_EXPIRES = "client.secret.rotated.expiration.time"
_OLD = (ROTATED, _OLD_CREATED, _OLD_EXPIRES)

_EXECUTOR = "secret-rotation"
_PERIODS = {"expiration-period": 29 * 86400, "rotated-expiration-period": 2 * 86400}


@routes("GET", "client-policies/profiles")
def get_profiles(realm: Realm, call: Call) -> Response:
    """Return the profiles of the realm."""
    return answer({"profiles": realm.client_policies["profiles"]})


@routes("PUT", "client-policies/profiles")
def set_profiles(realm: Realm, call: Call) -> Response:
    """Replace all profiles."""
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
    """Return the policies of the realm."""
    return answer({"policies": realm.client_policies["policies"]})


@routes("PUT", "client-policies/policies")
def set_policies(realm: Realm, call: Call) -> Response:
    """Replace all policies."""
    realm.client_policies["policies"] = call.body.get("policies") or []
    return done()


def rotation(realm: Realm, client: JSON) -> dict[str, Any] | None:
    """Return the periods of the executor in seconds, or None if no policy applies it to the client."""
    profiles = {profile["name"]: profile for profile in realm.client_policies["profiles"]}
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


def renew_secret(realm: Realm, client: JSON, now: datetime) -> str:
    """Set and return a new secret for the client.

    The old one remains valid for a while if a policy applies secret rotation to the client.
    """
    periods, moment = rotation(realm, client), int(now.timestamp())
    attributes, old = client["attributes"], client.get("secret")
    client["secret"] = new_secret()
    attributes[_CREATED] = str(moment)
    if periods is None:
        remove_old_secret(client)
    else:
        attributes[_EXPIRES] = str(moment + periods["expiration-period"])
        attributes[ROTATED], attributes[_OLD_CREATED] = old, str(moment)
        attributes[_OLD_EXPIRES] = str(moment + periods["rotated-expiration-period"])
    return str(client["secret"])


def update_secrets(realm: Realm, client: JSON, now: datetime) -> None:
    """Update the secrets of a client after a PUT."""
    periods, moment = rotation(realm, client), int(now.timestamp())
    if periods is None:
        remove_old_secret(client)
    elif _EXPIRES not in client["attributes"]:
        client["attributes"][_EXPIRES] = str(moment + periods["expiration-period"])
    elif int(client["attributes"][_EXPIRES]) < moment:
        renew_secret(realm, client, now)


def remove_old_secret(client: JSON) -> None:
    """Remove the old secret of a client."""
    for name in _OLD:
        client["attributes"].pop(name, None)


def is_valid_secret(realm: Realm, client: JSON, secret: str | None, now: datetime) -> bool:
    """Return whether a secret is valid: the current one, or the old one before it expires."""
    if secret == client["secret"]:
        return True
    old = client["attributes"].get(ROTATED)
    return (
        old is not None
        and secret == old
        and rotation(realm, client) is not None
        and int(client["attributes"][_OLD_EXPIRES]) > now.timestamp()
    )


@routes("GET", "clients/{client}/client-secret/rotated")
def get_rotated(realm: Realm, call: Call, client_id: str) -> Response:
    """Return the old secret of a client."""
    old = _client(realm, client_id)["attributes"].get(ROTATED)
    if old is None:
        raise not_found("Client does not have a rotated secret")
    return answer({"type": "secret", "value": old})


@routes("DELETE", "clients/{client}/client-secret/rotated")
def delete_rotated(realm: Realm, call: Call, client_id: str) -> Response:
    """Remove the old secret of a client."""
    remove_old_secret(_client(realm, client_id))
    return done()


def _client(realm: Realm, client_id: str) -> JSON:
    client = realm.clients.get(client_id)
    if client is None:
        raise not_found("Could not find client")
    return client
