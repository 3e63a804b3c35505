"""Logins through Keycloak's pages, without a browser."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import jwt

# The limit is higher than any login needs; it ends an endless loop of redirects.
_MOST_STEPS = 30


class LoginError(Exception):
    """Keycloak rejected the login; the message contains the text of its page."""


def log_in(
    keycloak_url: str,
    realm: str,
    client_id: str,
    client_secret: str | None,
    redirect_uri: str,
    username: str,
    password: str,
    scope: str = "openid email profile",
    *,
    identity_provider: str | None = None,
) -> dict[str, Any]:
    """Log a user in with an authorization code and PKCE; return the claims of the verified ID token.

    `client_secret` is None for a public client. No server has to listen at `redirect_uri`. With
    `identity_provider` (an alias), Keycloak redirects the user to that provider, and the user name
    and the password are submitted in the provider's form. If a page asks a new user to confirm
    the profile, its form is submitted unchanged.
    """
    issuer = f"{keycloak_url.rstrip('/')}/realms/{realm}"
    verifier, state, nonce = (secrets.token_urlsafe(48) for _ in range(3))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    if identity_provider is not None:
        parameters["kc_idp_hint"] = identity_provider
    with httpx.Client(trust_env=False, timeout=30) as client:
        address = f"{issuer}/protocol/openid-connect/auth"
        request = client.build_request("GET", address, params=parameters)
        end = _walk(client, request, redirect_uri, username, password)
        query = parse_qs(urlsplit(end).query)
        answer = {name: values[0] for name, values in query.items()}
        if "error" in answer:
            reason = answer.get("error_description", "")
            raise LoginError(f"Keycloak answers {answer['error']}: {reason}")
        if answer.get("state") != state:
            raise LoginError("Keycloak's answer belongs to another login: the state differs.")
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": answer["code"],
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        if client_secret is not None:
            form["client_secret"] = client_secret
        response = client.post(f"{issuer}/protocol/openid-connect/token", data=form)
        if response.status_code != 200:
            raise LoginError(f"No token: HTTP {response.status_code}: {response.text}")
        tokens = response.json()
        if "id_token" not in tokens:
            raise LoginError("No ID token: the scope has to hold openid.")
        keys = client.get(f"{issuer}/protocol/openid-connect/certs").raise_for_status().json()
    claims = _verified(tokens["id_token"], keys, issuer, client_id)
    if claims.get("nonce") != nonce:
        raise LoginError("The ID token belongs to another login: the nonce differs.")
    return claims


def log_in_at(
    url: str, back: str, username: str, password: str
) -> tuple[httpx.Client, httpx.Response]:
    """Log in through an application's login address; return the browser and the last response.

    `url` is the address at which the application starts a login, and `back` its redirect URI. The
    browser holds the cookies of both servers; the caller closes it.
    """
    client = httpx.Client(trust_env=False, timeout=30)
    try:
        end = _walk(client, client.build_request("GET", url), back, username, password)
        answer = client.get(end)
    except BaseException:
        client.close()
        raise
    return client, answer


def begin_session(client: httpx.Client, url: str, username: str, password: str) -> str:
    """Log in at a realm in a browser that keeps the session; return the final address.

    `url` contains the `redirect_uri`.
    """
    back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    return _walk(client, client.build_request("GET", url), back, username, password)


def follow(client: httpx.Client, url: str, back: str) -> httpx.Response:
    """Open an application's login in a browser with a session; return the last response.

    A page that asks for a password fails, because there is no password to submit.
    """
    return client.get(_walk(client, client.build_request("GET", url), back, "", ""))


@dataclass
class _Form:
    action: str
    values: dict[str, str] = field(default_factory=dict)


class _Page(HTMLParser):
    """The forms of a page, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self._inside = False
        self._hidden = 0
        self._words: list[str] = []
        self.feed(text)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(_Form(attributes.get("action", "")))
            self._inside = True
        elif tag in ("input", "button") and self._inside and attributes.get("name"):
            kind = attributes.get("type")
            if kind not in ("checkbox", "radio", "button") or "checked" in attributes:
                # A browser submits only one of several buttons with the same name.
                self.forms[-1].values.setdefault(attributes["name"], attributes.get("value", ""))
        elif tag in ("script", "style"):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag in ("script", "style"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)


def _walk(
    client: httpx.Client,
    request: httpx.Request,
    redirect_uri: str,
    username: str,
    password: str,
) -> str:
    """Follow redirects and fill in forms; return the address to which Keycloak finally redirects."""
    typed = False
    for _ in range(_MOST_STEPS):
        response = client.send(request)
        # Keycloak marks its cookies as Secure even on a loopback address without TLS. A browser
        # sends them there nevertheless, but httpx does not.
        for cookie in client.cookies.jar:
            cookie.secure = False
        if response.has_redirect_location:
            target = urljoin(str(response.url), response.headers["location"])
            if _same_place(target, redirect_uri):
                return target
            request = client.build_request("GET", target)
            continue
        page = _Page(response.text)
        form = next((each for each in page.forms if each.action), None)
        if response.status_code != 200 or form is None:
            raise LoginError(f"HTTP {response.status_code}: {_shortened(page.text)}")
        if "already exists" in page.text:  # it offers to link the accounts, again and again
            raise LoginError(f"Refused: {_shortened(page.text)}")
        if "password-new" in form.values:
            raise LoginError("Keycloak asks for a new password.")
        if "password" in form.values:
            if typed:
                raise LoginError(f"Refused: {_shortened(page.text)}")
            typed = True
            form.values |= {"username": username, "password": password}
        request = client.build_request(
            "POST", urljoin(str(response.url), form.action), data=form.values
        )
    raise LoginError(f"No end after {_MOST_STEPS} pages.")


def _same_place(target: str, redirect_uri: str) -> bool:
    found, wanted = urlsplit(target), urlsplit(redirect_uri)
    return (found.scheme, found.netloc, found.path or "/") == (
        wanted.scheme,
        wanted.netloc,
        wanted.path or "/",
    )


def _shortened(text: str) -> str:
    return re.sub(r"(.{400}).+", r"\1 ...", text) or "(an empty page)"


def _verified(token: str, keys: dict[str, Any], issuer: str, audience: str) -> dict[str, Any]:
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["RS256", "ES256", "PS256"],
        audience=audience,
        issuer=issuer,
        options={"require": ["exp", "iat", "sub"]},
    )
    return claims
