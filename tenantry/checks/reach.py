"""Checks that the signing keys are reachable from the flow runs, and that the clocks agree."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx

from tenantry.calls import TIMEOUT
from tenantry.checks.login import Login
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems.keycloak.kinds import IDENTITY_PROVIDER, REALM

_SKEW = 30.0
"""The tolerated clock skew in seconds. A slightly larger skew invalidates tokens of 60 s."""


def keys(login: Login) -> Iterator[Finding]:
    """Check that the keys of the realm and of each external provider can be read.

    Their certificates must be trusted.
    """
    connections = {
        alias: provider.connection.issuer
        for alias, provider in login.systems.state.platform.keycloak.external_providers.items()
        if provider.connection
    }
    realm = Id(REALM, login.realm.realm)
    providers = {Id(IDENTITY_PROVIDER, a): url for a, url in connections.items()}
    for id, issuer in {realm: login.realm.issuer, **providers}.items():
        try:
            yield from _keys(login, id, issuer)
        except (httpx.HTTPError, ValueError, LookupError) as error:
            yield login.finding(
                "keys",
                "critical",
                id,
                f"cannot read the keys of '{issuer}' from here ({type(error).__name__}: {error})",
                "Check that the address is reachable, and that its certificate is trusted and not "
                "expired.",
            )


def _keys(login: Login, id: Id, issuer: str) -> Iterator[Finding]:
    verify = login.realm.verify if id.kind == REALM else True
    with httpx.Client(verify=verify, timeout=TIMEOUT, follow_redirects=True) as http:
        url = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
        document = http.get(url).raise_for_status()
        answer = http.get(document.json()["jwks_uri"]).raise_for_status()
    if not answer.json()["keys"]:
        yield login.finding(
            "keys",
            "critical",
            id,
            f"'{issuer}' publishes no keys",
            "Add an active signing key.",
        )
    date = document.headers.get("date")
    if date:
        skew = (parsedate_to_datetime(date) - login.systems.clock()).total_seconds()
        if abs(skew) > _SKEW:
            yield login.finding(
                "clocks",
                "warning",
                id,
                f"its clock differs from Tenantry's by {abs(skew):.0f} s: tokens are refused as not "
                "yet valid or expired",
                "Synchronize both clocks with NTP.",
            )
