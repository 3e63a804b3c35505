"""Comparisons of names, hosts and addresses for the policy.

They use no regular expressions from users, and take linear time.
"""

import re
import unicodedata
from typing import NamedTuple

_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Invisible characters that Unicode does not classify as format characters."""


def fold(name: str) -> str:
    """Return a canonical form, in which names that look alike are equal.

    For example, `Platform-Admins` and `platform\u200b-admins` are equal: format characters
    (including zero-width ones) are removed, and compatibility forms and case are normalized.
    """
    if name.isascii():
        return " ".join(name.lower().split())
    for _ in range(2):  # case folding may produce characters that normalization changes
        name = unicodedata.normalize("NFKC", name).casefold()
        name = "".join(each for each in name if not _is_invisible(each))
    return " ".join(name.split())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Cc") or character in _INVISIBLE


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern in which `*` stands for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    position = len(first)
    *middle, last = rest
    for part in middle:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(text) - position >= len(last) and text.endswith(last)


def host_matches(pattern: str, host: str) -> bool:
    """Return whether a pattern covers a host; `*.` at its beginning stands for one or more parts."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def for_team(pattern: str, team: str) -> str:
    """Return a pattern with `{team}` replaced by a team's name."""
    return pattern.replace("{team}", team)


RESERVED_DOMAINS = (
    "kubernetes.io",
    "k8s.io",
    "istio.io",
    "tenantry.io",
    # Controllers that change a namespace's rights or rules by its labels or annotations.
    "x-k8s.io",
    "openshift.io",
    "cattle.io",
    "clastix.io",
    "gatekeeper.sh",
    "kyverno.io",
    "linkerd.io",
    "projectcalico.org",
    "cilium.io",
)
_FREE_DOMAIN = "app.kubernetes.io"
"""The recommended labels for all applications. Tenantry's mark among them has its own rule."""
_RESERVED_KEYS = ("istio-injection", "control-plane")


def is_reserved_key(key: str) -> bool:
    """Return whether a label or annotation belongs to Kubernetes, the mesh or another controller."""
    domain, separator, _ = key.lower().rpartition("/")
    if not separator:
        return key.lower() in _RESERVED_KEYS
    if domain == _FREE_DOMAIN:
        return False
    return any(domain == each or domain.endswith(f".{each}") for each in RESERVED_DOMAINS)


class Address(NamedTuple):
    """The host of a redirect URI or of a web origin."""

    host: str | None
    """The folded host; None if the address has no host."""
    fault: str = ""
    """The reason why the address could lead to other applications; empty if it cannot."""


_RUNS_CODE = frozenset(
    (
        *("javascript", "data", "vbscript", "livescript", "file", "blob", "filesystem", "about"),
        *("view-source", "chrome", "resource", "jar", "mhtml", "ms-its", "intent"),
    )
)
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def parse_address(address: str) -> Address:
    """Return the host of an address, as Keycloak and browsers interpret it.

    Keycloak compares addresses exactly, or by prefix if the address ends in `*`.
    """
    if address in ("+", "-"):  # Keycloak: "same as the redirect URIs", and "none"
        return Address(None)
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", address)
    scheme, rest = (found[1].lower(), address[found.end() :]) if found else ("", address)
    if scheme in _RUNS_CODE:
        return Address(None, f"has the scheme '{scheme}:', which leads to no application")
    if rest.startswith("//"):
        return _authority(re.split(r"[/?#\\]", rest[2:], maxsplit=1)[0])
    if scheme in ("http", "https"):
        return Address(None, f"has no '//' after '{scheme}:'")
    if not scheme and not rest.startswith("/"):
        return Address(None, "is not a full address, so Keycloak would compare only its prefix")
    return Address(None)


def _authority(text: str) -> Address:
    """Return the host of an address from the part between `//` and the path."""
    if "@" in text:
        return Address(None, "has a user name before its host")
    if "*" in text:
        return Address(None, "has a '*' in its host; write the host in full, with a '/' after it")
    if "%" in text:
        return Address(None, "has a '%' in its host; write the host without percent-encoding")
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:\d*)?", text)
    if not found or not found[1]:
        return Address(None, "has no valid host")
    return Address(fold(found[1]).rstrip("."))


def shortest_interval(cron: str) -> int:
    """Return the shortest time between two runs of a five-field schedule, in minutes."""
    minute, hour, *_ = cron.split()
    minutes, hours = sorted(_values(minute, 60)), sorted(_values(hour, 24))
    times = [60 * hour + minute for hour in hours for minute in minutes]
    if not times:
        return 1440
    later = [*times[1:], times[0] + 1440]
    return min(second - first for first, second in zip(times, later, strict=True))


def _values(field: str, size: int) -> set[int]:
    """Return the values of a schedule's field, as Harbor interprets it."""
    found: set[int] = set()
    for part in filter(None, field.split(",")):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if first in ("*", "?"):
            start, end = 0, size - 1
        elif dash:
            start, end = int(first), int(last)
        else:
            start, end = int(first), size - 1 if step else int(first)
        found |= set(range(start, min(end, size - 1) + 1, int(step or 1)))
    return found
