"""The secret of Harbor's client, and its renewal.

If a client policy of the realm has the executor `secret-rotation`, Keycloak also accepts the old
secret until it is revoked. Otherwise Keycloak rejects the old secret as soon as a new one exists.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from tenantry.answers import texts
from tenantry.calls import Clock
from tenantry.declared.single_sign_on import SingleSignOn
from tenantry.errors import SystemRefused
from tenantry.plan import Change
from tenantry.resources import Elapsed, Id, Live, Observed, Resource
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import ROTATED
from tenantry.systems.keycloak.kinds import CLIENT, CLIENT_SECRET
from tenantry.wording import count

_EXECUTOR = "secret-rotation"
_CREATED = "client.secret.creation.time"
_OLD_ENDS = "client.secret.rotated.expiration.time"
_TAKEN, _NOT_TAKEN = "Harbor's", "perhaps not Harbor's: the former one still works, too"
_NO_OVERLAP = (
    "the realm has no client policy with the executor secret-rotation: logins fail for a second or "
    "less, between its renewal and the update of Harbor's configuration"
)


class ClientSecret:
    """The secret of Harbor's client."""

    def __init__(
        self,
        client: KeycloakClient,
        sign_on: SingleSignOn | None,
        clock: Clock,
        hand_over: Callable[[str], None],
        renew_before: datetime | None = None,
    ) -> None:
        """
        Args:
            client: the realm.
            sign_on: the declared single sign-on; None if it is not declared.
            clock: the clock for the age of the secret.
            hand_over: gives Harbor another secret, and returns when Harbor uses it.
            renew_before: renew a secret that was created before this time, regardless of the
                declared limit.
        """
        self._client = client
        self._sign_on = sign_on
        self._clock = clock
        self._hand_over = hand_over
        self._renew_before = renew_before

    def desired(self) -> Iterator[Resource]:
        """Yield the secret: not older than declared, and the one that Harbor uses."""
        if self._sign_on is None:
            return
        fields = {"in use": _TAKEN}
        if self._limit:
            fields["age"] = self._limit
        client = Id(CLIENT, self._sign_on.client_id)
        yield Resource(_id(self._sign_on), fields, depends_on=(client,))

    @property
    def _limit(self) -> str:
        if self._renew_before is not None:
            return "new"
        days = self._sign_on.secret_max_age_days if self._sign_on else None
        return f"at most {count(days, 'day')}" if days else ""

    def observe(self, found: Representation, seen: Observed) -> None:
        """Add the secret of a client to what was observed."""
        assert self._sign_on is not None
        attributes = found.get("attributes") or {}
        in_use = _NOT_TAKEN if self._overlaps(attributes) else _TAKEN
        fields = {"in use": in_use, "age": self._age(attributes)}
        seen.live[_id(self._sign_on)] = Live(fields, handle=found["id"])

    def _overlaps(self, attributes: Representation) -> bool:
        ends = attributes.get(_OLD_ENDS)
        return bool(attributes.get(ROTATED)) and (
            ends is None or float(ends) > self._clock().timestamp()
        )

    def _age(self, attributes: Representation) -> str:
        """Return the limit if the secret is not older; else its age, and the effect of a
        renewal."""
        created = attributes.get(_CREATED)
        age_text = "not known"
        if created:
            made = datetime.fromtimestamp(float(created), UTC)
            age = self._clock() - made
            if self._is_young(made, age):
                return self._limit
            age_text = count(age.days, "day")
        cost = "" if not self._limit or self._rotates() else f"; {_NO_OVERLAP}"
        return Elapsed(f"{age_text}{cost}", f"since {created}{cost}")

    def _is_young(self, made: datetime, age: timedelta) -> bool:
        if self._renew_before is not None:
            return made >= self._renew_before.replace(microsecond=0)  # Keycloak keeps whole seconds
        days = self._sign_on.secret_max_age_days if self._sign_on else None
        return days is None or age.days <= days

    def _rotates(self) -> bool:
        """Return whether a client policy of the realm has the executor, whatever its conditions."""
        try:
            profiles: Representation = self._client.get("client-policies/profiles") or {}
            policies: Representation = self._client.get("client-policies/policies") or {}
        except SystemRefused:  # the account has no right to read the policies
            return False
        able = {
            profile["name"]
            for profile in profiles.get("profiles") or ()
            if any(each["executor"] == _EXECUTOR for each in profile.get("executors") or ())
        }
        return any(
            policy.get("enabled") and able.intersection(policy.get("profiles") or ())
            for policy in policies.get("policies") or ()
        )

    def apply(self, change: Change) -> None:
        """Renew the secret if its renewal is due, give it to Harbor, and revoke the old one."""
        assert change.live is not None
        path = f"clients/{change.live.handle}"
        if any(difference.field == "age" for difference in change.differences):
            self._client.post(f"{path}/client-secret", {}, status=200)
        call = f"GET /admin/realms/{self._client.realm}/{path}/client-secret"
        (secret,) = texts("keycloak", call, self._client.get(f"{path}/client-secret"), "value")
        self._hand_over(secret)
        client: Representation = self._client.get(path) or {}
        if self._overlaps(client.get("attributes") or {}):
            self._client.delete(f"{path}/client-secret/rotated")


def _id(sign_on: SingleSignOn) -> Id:
    return Id(CLIENT_SECRET, sign_on.client_id)
