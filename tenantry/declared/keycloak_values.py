"""Types for values that Keycloak validates, such as the addresses of an OIDC client.

Keycloak 26 accepts addresses that Java's `java.net.URI` can parse, without a fragment and without a
scheme that runs code, of up to 255 characters.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from tenantry.declared.types import text_like

MAX_URI = 255
_ALLOWED = r"[\w\-!.~'()*:@&=+$,;/]|%[0-9A-Fa-f]{2}|[^\x00-\x7f]"
_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*:(?=.))?"
    rf"(//(?=.)(\[[0-9A-Fa-f:.]+\](:\d*)?|(?:(?!/)(?:{_ALLOWED}))*))?"
    rf"(?P<path>(?:{_ALLOWED})*)"
    rf"(\?(?:{_ALLOWED}|[/?\[\]])*)?",
    re.ASCII,
)
_RELATIVE_WITH_COLON = re.compile(r"[^/?]*:")


def is_uri(value: str) -> bool:
    """Return whether Java's `java.net.URI`, which Keycloak uses, can parse a URI."""
    found = _URI.fullmatch(value)
    without_host = value.endswith("://") or value == "//"
    relative = found is not None and not found["scheme"]
    return bool(found) and not (without_host or (relative and _RELATIVE_WITH_COLON.match(value)))


def has_illegal_scheme(value: str) -> bool:
    """Return whether a URI's scheme would run code, or contain the page itself."""
    return value.lower().startswith(("javascript:", "data:"))


def has_blank(value: str) -> bool:
    """Return whether an address contains blanks or control characters, which browsers never send."""
    return bool(re.search(r"\s", value)) or not value.isprintable()


def _check_uri(value: str) -> str:
    if not value:
        raise ValueError("an address must not be empty; remove it")
    if has_blank(value):
        raise ValueError("an address must not contain blanks or control characters")
    if "#" in value:
        raise ValueError(
            "a redirect URI must not have a fragment; remove '#' and the text after it"
        )
    if not is_uri(value):
        raise ValueError("is not a URI, such as https://shop.example.com/oauth2/callback")
    if has_illegal_scheme(value):
        scheme = value.partition(":")[0]
        raise ValueError(f"the scheme '{scheme}:' is not allowed in a redirect URI")
    return value


def _check_redirect(value: str) -> str:
    if len(value) > MAX_URI:
        raise ValueError(f"an address has up to {MAX_URI} characters")
    return _check_uri(value)


RedirectUri = Annotated[
    str,
    AfterValidator(_check_redirect),
    Field(json_schema_extra={"pattern": r"^[^\s#]+$", "maxLength": MAX_URI}),
]
"""A redirect URI of a login."""

PostLogoutUri = Annotated[
    str, AfterValidator(_check_uri), Field(json_schema_extra={"pattern": r"^[^\s#]+$"})
]
"""A redirect URI of a logout."""


def _check_origin(value: str) -> str:
    if not value:
        raise ValueError("an origin must not be empty; remove it")
    if len(value) > MAX_URI:
        raise ValueError(f"an origin has up to {MAX_URI} characters")
    return value


WebOrigin = Annotated[
    str,
    AfterValidator(_check_origin),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_URI}),
]
"""An origin of a browser application."""


def _check_user(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("a user name must not be empty or have blanks around it")
    return value


UserName = Annotated[str, AfterValidator(_check_user), Field(json_schema_extra={"minLength": 1})]
"""A user name in Keycloak, which stores it in lower case."""


_REALM = r"[^\s/?#%\\]([^/?#%\\]*[^\s/?#%\\])?"


def _check_realm(value: str) -> str:
    if not re.fullmatch(_REALM, value) or not value.isprintable():
        raise ValueError(
            "a realm's name must not contain '/', '?', '#', '%' or backslashes, or have blanks "
            "around it"
        )
    return value


RealmName = Annotated[str, AfterValidator(_check_realm), text_like(_REALM)]
"""The name of a realm, which is part of URLs."""


def _check_alias(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,99}", value):
        raise ValueError(
            "an alias is 1 to 100 letters, digits, '-', '_' and '.' (it is part of URLs)"
        )
    return value


Alias = Annotated[str, AfterValidator(_check_alias), text_like("[A-Za-z0-9][-_.A-Za-z0-9]*")]
"""The alias of an identity provider in a realm."""
