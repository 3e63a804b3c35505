"""Whether what a login needs is reached from where the flows run, and whether clocks agree."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx

from tenantry.calls import TIMEOUT
from tenantry.checks.login import Login
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems.keycloak.kinds import IDENTITY_PROVIDER, REALM

_SKEW = 30.0
"""Seconds that two clocks may differ: tokens of 60 s would be refused soon after."""


def keys(login: Login) -> Iterator[Finding]:
    """The realm's and each external provider's keys can be read, with a certificate we trust."""
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
                f"the keys of '{issuer}' can't be read from here ({type(error).__name__}: {error})",
                "See whether the address is reached, its certificate is trusted and not expired.",
            )


def _keys(login: Login, id: Id, issuer: str) -> Iterator[Finding]:
    verify = login.realm.verify if id.kind == REALM else True
    with httpx.Client(verify=verify, timeout=TIMEOUT, follow_redirects=True) as http:
        url = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
        document = http.get(url).raise_for_status()
        answer = http.get(document.json()["jwks_uri"]).raise_for_status()
    if not answer.json()["keys"]:
        yield login.finding(
            "keys", "critical", id, f"'{issuer}' shows no keys", "Give it an active signing key."
        )
    date = document.headers.get("date")
    if date:
        skew = (parsedate_to_datetime(date) - login.systems.clock()).total_seconds()
        if abs(skew) > _SKEW:
            yield login.finding(
                "clocks",
                "warning",
                id,
                f"its clock differs from ours by {abs(skew):.0f} s: tokens are refused as not yet "
                "or no longer good",
                "Let NTP set both.",
            )
