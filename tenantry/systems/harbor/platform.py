"""The adapter for Harbor's own configuration: single sign-on, and further settings.

Tenantry copies the client secret from Keycloak to Harbor in memory. Harbor never shows the secret,
so Tenantry checks it by letting Harbor use it.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from tenantry.declared import Declaration, Platform
from tenantry.errors import NotEffective
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.harbor.kinds import CONFIGURATION
from tenantry.systems.keycloak.kinds import CLIENT
from tenantry.text import logger

SINGLE_SIGN_ON = Id(CONFIGURATION, "single sign-on")
SETTINGS = Id(CONFIGURATION, "settings")

SECRET = "oidc_client_secret"  # noqa: S105 a setting's name
WORKS, FAILS, UNTRIED = "works", "does not work", "not tried"
_LATER = {"oidc_logout": False, "oidc_group_filter": ""}
"""Settings that older versions lack, with the values that describe their behavior."""
_TAKES_HOLD = 6.0
"""Seconds until Harbor uses a changed provider: it caches the former one for 3."""
_NAMED = 5
_log = logger(__name__)


class HarborPlatform:
    """Harbor's own configuration."""

    name = "Harbor"
    system = "harbor"
    kinds = frozenset({CONFIGURATION})

    def __init__(
        self,
        client: HarborClient,
        state: Declaration,
        issuer: Callable[[], str],
        secret_of: Callable[[str], str],
    ) -> None:
        """
        Args:
            client: Harbor.
            state: the declared state.
            issuer: returns the realm's issuer, as the realm spells it.
            secret_of: returns the secret of a client of the realm.
        """
        self._client = client
        self._declared = state.platform.harbor
        self._issuer = issuer
        self._secret_of = secret_of

    # Desired

    def desired(self, owner: Platform, observed: Observed) -> list[Resource]:
        """Return the declared single sign-on and further settings."""
        wanted = []
        if self._declared.single_sign_on:
            wanted.append(self._single_sign_on(self._issuer(), observed))
        settings = dict(self._declared.configuration)
        if self._declared.single_sign_on:
            settings.setdefault("project_creation_restriction", "adminonly")
        if settings:
            wanted.append(Resource(SETTINGS, settings))
        return wanted

    def _single_sign_on(self, issuer: str, observed: Observed) -> Resource:
        sign_on = self._declared.single_sign_on
        assert sign_on is not None
        fields: dict[str, Any] = {
            "auth_mode": "oidc_auth",
            "oidc_name": sign_on.provider_name,
            "oidc_endpoint": issuer,
            "oidc_client_id": sign_on.client_id,
            "oidc_scope": ",".join(sign_on.scopes),
            "oidc_groups_claim": sign_on.groups_claim,
            "oidc_user_claim": sign_on.user_claim,
            "oidc_auto_onboard": sign_on.auto_onboard,
            "oidc_admin_group": sign_on.admin_group or "",
            "oidc_group_filter": sign_on.group_filter or "",
            "oidc_logout": sign_on.logout,
            "oidc_verify_cert": sign_on.verify_certificate,
            "oidc_extra_redirect_parms": json.dumps(sign_on.redirect_parameters, sort_keys=True),
            SECRET: WORKS,
        }
        live = observed.live.get(SINGLE_SIGN_ON)
        for name, absent in _LATER.items():
            declared = name.removeprefix("oidc_") in sign_on.model_fields_set
            if live and name not in live.fields and (fields[name] == absent or not declared):
                del fields[name]
        client = Id(CLIENT, sign_on.client_id)
        return Resource(SINGLE_SIGN_ON, fields, depends_on=(client,), body=client)

    # Observed

    def observe(self, owners: Sequence[Platform], observed: Observed) -> Observed:
        """Return Harbor's configuration, and whether its OIDC client works."""
        seen = Observed()
        if not (self._declared.single_sign_on or self._declared.configuration):
            return seen
        fields = self._client.settings()
        locked = self._locked(fields.locked)
        if self._declared.single_sign_on:
            issuer = self._issuer()
            locked = locked | self._known_by_another(fields, issuer)
            own = {**fields, SECRET: self._tried(fields, issuer)}
            parameters = own.get("oidc_extra_redirect_parms")
            own["oidc_extra_redirect_parms"] = _normal(parameters)
            seen.live[SINGLE_SIGN_ON] = Live(own, read_only=locked)
        seen.live[SETTINGS] = Live(fields, read_only=locked | self._unknown(fields))
        return seen

    def _tried(self, fields: Row, issuer: str) -> str:
        """Return whether Harbor's client works, if it is the declared one."""
        sign_on = self._declared.single_sign_on
        assert sign_on is not None
        place = (fields.get("auth_mode"), fields.get("oidc_endpoint"), fields.get("oidc_client_id"))
        if place != ("oidc_auth", issuer, sign_on.client_id):
            return UNTRIED
        return self._verdict(self._client.try_oidc_client())

    def _verdict(self, words: str) -> str:
        if "unauthorized_client" in words or "invalid_client" in words:
            return FAILS
        if "invalid_grant" not in words:
            _log.warning(
                "Tenantry cannot check whether Harbor's OIDC client secret works: %s. It assumes that it does.",
                words or "/c/ is not routed to Harbor's core",
            )
        return WORKS

    def _locked(self, locked: frozenset[str]) -> dict[str, str]:
        """Return why each of these settings cannot be changed now."""
        if not locked:
            return {}
        if locked == {"auth_mode"}:
            return {"auth_mode": self._further_users()}
        text = (
            "Harbor reports it as read-only: CONFIG_OVERWRITE_JSON of Harbor's core sets it. Change it "
            "there, or remove the variable"
        )
        # Harbor has no entry for the secret. It is read-only if the other settings are.
        return dict.fromkeys((*locked, SECRET), text)

    def _known_by_another(self, fields: Row, issuer: str) -> dict[str, str]:
        """Return why the issuer cannot be changed: Harbor knows its users by the issuer.

        An issuer that differs only in a final slash is the same one, and all its logins fail.
        """
        before = str(fields.get("oidc_endpoint") or "")
        if fields.get("auth_mode") != "oidc_auth" or not before:
            return {}
        if before.rstrip("/") == issuer.rstrip("/"):
            return {}
        if not self._client.rows("/users", page=1, page_size=1):
            return {}
        text = (
            f"Harbor knows its users by '{before}', and rejects their logins through '{issuer}' with "
            "409 (already exists). Run plan-migration: a migration keeps the rights of the users"
        )
        return {"oidc_endpoint": text}

    def _further_users(self) -> str:
        users = [str(user["username"]) for user in self._client.pages("/users")]
        names = ", ".join(users[:_NAMED])
        more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        return (
            "Harbor changes its auth_mode only while its administrator is the only user. Other users: "
            f"{names}{more}. Delete them in Harbor first. Their projects stay"
        )

    def _unknown(self, fields: Row) -> dict[str, str]:
        missing = [name for name in self._declared.configuration if name not in fields]
        return dict.fromkeys(missing, "this version of Harbor has no such setting")

    # Apply

    def apply(self, change: Change, observed: Observed) -> None:
        """Write the settings that differ.

        Raises:
            NotEffective: Harbor accepted the settings, and its client does not work.
        """
        fields = change.resource.fields
        names = {difference.field.split(".")[0] for difference in change.differences}
        body = {name: value for name, value in fields.items() if name in names and name != SECRET}
        if change.id != SINGLE_SIGN_ON:
            self._client.put("/configurations", body)
            return
        # In one call: between two calls, all logins would fail.
        client_id = fields["oidc_client_id"]
        body |= {name: fields[name] for name in ("oidc_endpoint", "oidc_client_id")}
        self._client.put("/configurations", body | {SECRET: self._secret_of(client_id)})
        self.prove(client_id)

    def hand_over(self, secret: str) -> None:
        """Give Harbor another secret of its client, and wait until Harbor uses it.

        Raises:
            NotEffective: the client does not work with the secret.
        """
        self._client.put("/configurations", {SECRET: secret})
        time.sleep(_TAKES_HOLD)
        sign_on = self._declared.single_sign_on
        assert sign_on is not None
        self.prove(sign_on.client_id)

    def switch(self, issuer: str) -> None:
        """Let Harbor trust the realm, in one call: between two calls, all logins would fail.

        Raises:
            SystemRefused: Harbor cannot reach the issuer. Nothing was changed.
            NotEffective: Harbor accepted the settings, and its client does not work.
        """
        wanted = dict(self._single_sign_on(issuer, Observed()).fields)
        del wanted[SECRET]
        known = self._client.settings()
        body = {name: value for name, value in wanted.items() if name in known}
        self.trust(body, self._secret_of)

    def trust(self, settings: Row, secret_of: Callable[[str], str]) -> None:
        """Write settings of single sign-on, after Harbor has reached the issuer.

        Raises:
            SystemRefused: Harbor cannot reach the issuer. Nothing was changed.
            NotEffective: Harbor accepted the settings, and its client does not work.
        """
        verify = bool(settings.get("oidc_verify_cert", True))
        body = {"url": settings["oidc_endpoint"], "verify_cert": verify}
        self._client.post("/system/oidc/ping", body, status=200)
        client_id = str(settings["oidc_client_id"])
        self._client.put("/configurations", {**settings, SECRET: secret_of(client_id)})
        self.prove(client_id)

    def prove(self, client_id: str) -> None:
        """Check that Harbor's client works, after Harbor has loaded its settings.

        Raises:
            NotEffective: the client does not work.
        """
        until = time.monotonic() + _TAKES_HOLD
        while self._verdict(self._client.try_oidc_client()) == FAILS:
            if time.monotonic() > until:
                raise NotEffective(
                    "harbor",
                    "PUT /api/v2.0/configurations",
                    f"the realm refuses client '{client_id}' with the secret that Harbor was given",
                )
            time.sleep(0.5)


def _normal(parameters: Any) -> Any:
    """Return Harbor's redirect parameters, which are JSON in a string, in a normal form."""
    try:
        return json.dumps(json.loads(parameters or "{}"), sort_keys=True)
    except (TypeError, ValueError):
        return parameters
