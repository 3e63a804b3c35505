"""The OIDC client of Harbor 2.15.2: metadata, tokens and claims of any provider.

Settings and metadata are cached for three seconds as in Harbor, so a change takes that long.

Not simulated: refreshed and revoked tokens, and the special cases for Google.
"""

import functools
import json
import re
import ssl
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

import httpx
import jwt

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

CALLBACK = "/c/oidc/callback"
_CACHE_TIME = timedelta(seconds=3)
_TIMEOUT = 10.0  # seconds
_ALGORITHMS = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)}

JSON = dict[str, Any]


class ProviderError(Exception):
    """The provider is unreachable or its answer is invalid. The message is Harbor's."""


@dataclass
class Identity:
    """The user of a login as the provider describes it. Only subject and issuer identify it."""

    sub: str
    iss: str
    username: str
    email: str
    groups: list[str]
    admin: bool


@dataclass
class Provider:
    """The discovered provider, with the settings of that time."""

    settings: JSON
    metadata: JSON
    redirect_uri: str
    discovered: datetime
    _keys: list[jwt.PyJWK] = field(default_factory=list)

    def login_url(self, state: str, verifier: str) -> str:
        """Return the URL to which a browser is redirected to log in."""
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        parameters = {
            "client_id": self.settings["oidc_client_id"],
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": " ".join(s.strip() for s in self.settings["oidc_scope"].split(",")),
            "state": state,
            **_extra(self.settings["oidc_extra_redirect_parms"]),
        }
        return _with_query(
            _text(self.metadata, "authorization_endpoint"), dict(sorted(parameters.items()))
        )

    def logout_url(self, id_token: str, back_to: str) -> str | None:
        """Return the URL to log out of the provider, or None if it has none."""
        if not self.metadata.get("end_session_endpoint"):
            return None
        parameters = {"id_token_hint": id_token, "post_logout_redirect_uri": back_to}
        return _with_query(self.metadata["end_session_endpoint"], parameters)

    async def tokens(self, code: str, verifier: str) -> JSON:
        """Return the tokens for a code. The secret is sent by basic auth first, then in the form.

        Raises:
            ProviderError: the provider is unreachable or rejects the code.
        """
        client_id, secret = self.settings["oidc_client_id"], self.settings["oidc_client_secret"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": self.redirect_uri,
        }
        url = _text(self.metadata, "token_endpoint")
        basic = httpx.BasicAuth(quote_plus(client_id), quote_plus(secret))
        form_with_secret = {**form, "client_id": client_id, "client_secret": secret}
        async with _client(self.settings["oidc_verify_cert"]) as client:
            try:
                response = await client.post(url, data=form, auth=basic)
                if response.status_code != HTTPStatus.OK:
                    response = await client.post(url, data=form_with_secret)
            except httpx.HTTPError as error:
                msg = f'Post "{url}": {error}'
                raise ProviderError(msg) from error
        return _parse_tokens(response)

    async def claims(self, token: str) -> JSON:
        """Return the claims of an ID token, which may have expired.

        Raises:
            ProviderError: it is not from this provider, or not for this client.
        """
        read = await self._verify(token)
        audience = read.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if read.get("iss") != self.metadata["issuer"]:
            msg = f"oidc: id token issued by a different provider: {read.get('iss')}"
            raise ProviderError(msg)
        if self.settings["oidc_client_id"] not in named:
            msg = f"oidc: expected audience {self.settings['oidc_client_id']} got {named}"
            raise ProviderError(msg)
        return read

    async def _verify(self, token: str) -> JSON:
        offered = self.metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            for key in await self._keys_named(kid):
                try:
                    payload = jwt.PyJWS().decode(token, key, sorted(_ALGORITHMS & set(offered)))
                except jwt.InvalidSignatureError:
                    continue
                read: JSON = json.loads(payload)
                return read
        except (jwt.PyJWTError, ValueError) as error:
            msg = f"oidc: {error}"
            raise ProviderError(msg) from error
        msg = "failed to verify signature: failed to verify id token signature"
        raise ProviderError(msg)

    async def _keys_named(self, kid: str | None) -> list[jwt.PyJWK]:
        def named() -> list[jwt.PyJWK]:
            return [key for key in self._keys if kid in (None, key.key_id)]

        if not named():  # the provider may have rotated its keys
            answer = await _get(_text(self.metadata, "jwks_uri"), self.settings["oidc_verify_cert"])
            self._keys = jwt.PyJWKSet.from_dict(answer).keys
        return named()

    async def identity(self, claims: JSON, access_token: str = "") -> Identity:
        """Return the user of the claims. Those of the provider's userinfo have priority.

        Raises:
            ProviderError: userinfo is about another user.
        """
        userinfo: JSON = {}
        if access_token and self.metadata.get("userinfo_endpoint"):
            try:
                userinfo = await _get(
                    self.metadata["userinfo_endpoint"],
                    self.settings["oidc_verify_cert"],
                    {"authorization": f"Bearer {access_token}"},
                )
            except ProviderError:
                userinfo = {}  # Harbor only logs a warning
        if userinfo and _text(userinfo, "sub") != _text(claims, "sub"):
            msg = (
                f"the subject from userinfo: {_text(userinfo, 'sub')} does not match the subject from "
                f"ID token: {_text(claims, 'sub')}, probably a security attack happened"
            )
            raise ProviderError(msg)
        groups = _groups(userinfo, self.settings)
        if groups is None:
            groups = _groups(claims, self.settings) or []
        wanted, admins = self.settings["oidc_group_filter"], self.settings["oidc_admin_group"]
        return Identity(
            sub=_text(claims, "sub"),
            iss=claims["iss"],
            username=_username(userinfo, claims, self.settings["oidc_user_claim"]),
            email=_text(userinfo or claims, "email"),
            groups=[g for g in groups if not wanted or _matches(wanted, g)],
            admin=bool(admins) and admins in groups,
        )


async def provider(harbor: "SimulatedHarbor") -> Provider:
    """Return the configured provider, discovered again after three seconds.

    Raises:
        ProviderError: the provider is unreachable or its metadata are invalid.
    """
    now, known = harbor.clock.now(), harbor.provider
    if known is None or not timedelta() <= now - known.discovered <= _CACHE_TIME:
        settings = dict(harbor.configuration)
        metadata = await discover(settings["oidc_endpoint"], settings["oidc_verify_cert"])
        known = Provider(settings, metadata, f"{harbor.ext_endpoint}{CALLBACK}", now)
        harbor.provider = known
    return known


async def current_claims(harbor: "SimulatedHarbor", token: str) -> JSON:
    """Return the claims of an ID token; raise ProviderError if it is invalid or expired.

    The expiry is compared with the sandbox's clock.
    """
    claims = await (await provider(harbor)).claims(token)
    expires, now = claims.get("exp", 0), harbor.clock.now().timestamp()
    if expires < now:
        msg = f"oidc: token is expired (Token Expiry: {expires})"
        raise ProviderError(msg)
    return claims


async def discover(endpoint: str, verify: bool) -> JSON:
    """Return the metadata of a provider; raise ProviderError if its issuer is not the endpoint."""
    metadata = await _get(f"{endpoint.removesuffix('/')}/.well-known/openid-configuration", verify)
    if metadata.get("issuer") != endpoint:
        msg = (
            "oidc: issuer did not match the issuer returned by provider, "
            f'expected "{endpoint}" got "{metadata.get("issuer")}"'
        )
        raise ProviderError(msg)
    return metadata


def _parse_tokens(response: httpx.Response) -> JSON:
    body = _parse_object(response)
    if response.status_code == HTTPStatus.OK and "error" not in body:
        return body
    if not body.get("error"):
        status = f"{response.status_code} {response.reason_phrase}"
        msg = f"oauth2: cannot fetch token: {status}\nResponse: {response.text}"
        raise ProviderError(msg)
    parts = [body.get(name) for name in ("error", "error_description", "error_uri")]
    msg = "oauth2: " + " ".join(json.dumps(part) for part in parts if part)
    raise ProviderError(msg)


async def _get(url: str, verify: bool, headers: dict[str, str] | None = None) -> JSON:
    try:
        async with _client(verify) as client:
            response = await client.get(url, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        msg = f'Get "{url}": {error}'
        raise ProviderError(msg) from error
    body = _parse_object(response)
    if response.status_code != HTTPStatus.OK or not body:
        msg = f"{response.status_code} {response.reason_phrase}: {response.text}"
        raise ProviderError(msg)
    return body


def _client(verify: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=_ssl_context(verify), timeout=_TIMEOUT, follow_redirects=True, trust_env=False
    )


@functools.cache
def _ssl_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _parse_object(response: httpx.Response) -> JSON:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _with_query(url: str, parameters: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"


def _extra(text: str) -> dict[str, str]:
    try:
        read = json.loads(text or "{}")
    except ValueError:
        return {}
    return {k: str(v) for k, v in read.items()} if isinstance(read, dict) else {}


def _text(claims: JSON, name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _username(userinfo: JSON, local: JSON, claim: str) -> str:
    """Return the configured claim, from the ID token first; else the name, from userinfo first."""
    names = (
        _text(local, claim),
        _text(userinfo, claim),
        _text(userinfo, "name"),
        _text(local, "name"),
    )
    return next(filter(None, names), "")


def _groups(claims: JSON, settings: JSON) -> list[str] | None:
    """Return the groups, or None if the claim is not a list. For a string Harbor logs a warning."""
    value = claims.get(settings["oidc_groups_claim"])
    return [g for g in value if isinstance(g, str)] if isinstance(value, list) else None


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False
