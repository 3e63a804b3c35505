"""The access to Harbor's portal, which requires a token of the realm.

A RequestAuthentication rejects all tokens of other issuers, on any path, and docker sends tokens of
Harbor. So it selects the portal's pods only, and neither Harbor's core nor the Gateway.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenantry.declared.platform import PortalTokens
from tenantry.kinds import Kind
from tenantry.systems.istio.kinds import AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION

NAME = "harbor-portal"


def rules(
    declared: PortalTokens, issuer: str, selector: Mapping[str, str]
) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """Yield kind and spec of each object, in an order in which no user loses access in between.

    Args:
        declared: the declared token check.
        issuer: the realm's issuer, as the realm states it.
        selector: the labels of the portal's pods.
    """
    pods = {"matchLabels": dict(selector)}
    issuers = list(dict.fromkeys((issuer, *declared.other_issuers)))
    jwt = [_rule(each, declared.audiences, realm=each == issuer) for each in issuers]
    yield REQUEST_AUTHENTICATION, {"selector": pods, "jwtRules": jwt}
    if declared.required:
        source = {"source": {"requestPrincipals": [f"{each}/*" for each in issuers]}}
        yield (
            AUTHORIZATION_POLICY,
            {
                "selector": pods,
                "action": "ALLOW",
                "rules": [{"from": [source]}],
            },
        )


def _rule(issuer: str, audiences: Sequence[str], *, realm: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"issuer": issuer, "forwardOriginalToken": True}
    if realm:  # for another issuer, Istio finds the keys through its discovery document
        rule["jwksUri"] = f"{issuer}/protocol/openid-connect/certs"
    if audiences:
        rule["audiences"] = sorted(audiences)
    return rule
