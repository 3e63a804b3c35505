"""The tokens that a list in chunks goes on by."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from .errors import Refused, bad_request

_VERSION = "meta.k8s.io/v1"
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


def token(version: int, after: tuple[str, str]) -> str:
    """A token for what comes after an object's namespace and name."""
    held = {"v": _VERSION, "rv": version, "start": f"{'/'.join(after)}\0"}
    encoded = urlsafe_b64encode(json.dumps(held, separators=(",", ":")).encode())
    return encoded.decode().rstrip("=")


def read(given: str) -> tuple[str, str]:
    """The namespace and name in a token; Refused, in the server's words, if it is none."""
    held = _decoded(given)
    if held.get("v") != _VERSION:
        raise _refused(f"server does not recognize this encoded version {held.get('v', '')}")
    if not held.get("rv"):
        raise _refused(f"incorrect encoded start resourceVersion (version {_VERSION})")
    start = held.get("start", "")
    if not start:
        raise _refused(f"encoded start key empty (version {_VERSION})")
    if ".." in start.split("/"):
        raise _refused(start)
    namespace, _, name = start.removesuffix("\0").rpartition("/")
    return namespace, name


def _decoded(given: str) -> dict[str, Any]:
    foreign = _FOREIGN.search(given)
    if foreign or len(given) % 4 == 1:
        at = foreign.start() if foreign else len(given) - 1
        raise _refused(f"illegal base64 data at input byte {at}")
    content = urlsafe_b64decode(given + "=" * (-len(given) % 4))
    try:
        held = json.loads(content.decode("latin-1"))
    except ValueError:
        first = chr(content[0]) if content else ""
        why = "unexpected end of JSON input"
        if first and first not in '{["-0123456789tfn':
            why = f"invalid character '{first}' looking for beginning of value"
        raise _refused(why) from None
    if held is not None and not isinstance(held, dict):
        found = {list: "array", str: "string", bool: "bool"}.get(type(held), "number")
        raise _refused(
            f"json: cannot unmarshal {found} into Go value of type storage.continueToken"
        )
    return held or {}


def _refused(why: str) -> Refused:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
