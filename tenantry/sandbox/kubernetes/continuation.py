"""The tokens with which a client continues a list that is sent in chunks."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from .errors import Refused, bad_request

_VERSION = "meta.k8s.io/v1"
_INVALID_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")


def token(version: int, after: tuple[str, str]) -> str:
    """Return a token that continues a list after an object's namespace and name."""
    content = {"v": _VERSION, "rv": version, "start": f"{'/'.join(after)}\0"}
    encoded = urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode())
    return encoded.decode().rstrip("=")


def read(given: str) -> tuple[str, str]:
    """Return the namespace and name in a token.

    Raises:
        Refused: the token is invalid; with the message of a real server.
    """
    content = _decode(given)
    if content.get("v") != _VERSION:
        raise _refused(f"server does not recognize this encoded version {content.get('v', '')}")
    if not content.get("rv"):
        raise _refused(f"incorrect encoded start resourceVersion (version {_VERSION})")
    start = content.get("start", "")
    if not start:
        raise _refused(f"encoded start key empty (version {_VERSION})")
    if ".." in start.split("/"):
        raise _refused(start)
    namespace, _, name = start.removesuffix("\0").rpartition("/")
    return namespace, name


def _decode(given: str) -> dict[str, Any]:
    invalid = _INVALID_CHARACTER.search(given)
    if invalid or len(given) % 4 == 1:
        at = invalid.start() if invalid else len(given) - 1
        raise _refused(f"illegal base64 data at input byte {at}")
    content = urlsafe_b64decode(given + "=" * (-len(given) % 4))
    try:
        content = json.loads(content.decode("latin-1"))
    except ValueError:
        first = chr(content[0]) if content else ""
        why = "unexpected end of JSON input"
        if first and first not in '{["-0123456789tfn':
            why = f"invalid character '{first}' looking for beginning of value"
        raise _refused(why) from None
    if content is not None and not isinstance(content, dict):
        found = {list: "array", str: "string", bool: "bool"}.get(type(content), "number")
        raise _refused(
            f"json: cannot unmarshal {found} into Go value of type storage.continueToken"
        )
    return content or {}


def _refused(why: str) -> Refused:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
