"""Removes the secrets of a call from the system's error message, and from the libraries' logs.

Messages quote the system's own error, which describes the problem best. But a system or a proxy may
repeat the request in it, and HTTP libraries log what they send.
"""

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

HIDDEN = "(hidden)"
_SHORTEST = 8
"""The minimum length of a hidden text. A shorter one could be a word of the message."""
_HEADERS = re.compile(r"authorization|cookie|csrf", re.IGNORECASE)
_LIBRARIES = ("httpcore", "httpx", "kubernetes", "oauthlib", "paramiko", "requests", "urllib3")
"""Libraries whose debug logs contain headers, tokens or the content of answers."""
_LATE = (
    *(f"httpcore.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")),
    "paramiko.transport",
)
"""Loggers that exist only after the first call."""
_FIELDS = re.compile(r"secret|password|token|credential|^(data|stringData)$", re.IGNORECASE)


def without_secrets(reason: str, headers: Mapping[str, Any], body: object = None) -> str:
    """Return a system's error message with the secrets of the call hidden.

    Args:
        reason: the system's message.
        headers: the request's headers, with the credentials.
        body: the request's body: an object, or JSON or a form as text or bytes.
    """
    found = {*_in_headers(headers), *_in_body(body)}
    for secret in sorted(found, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            reason = reason.replace(secret, HIDDEN)
    return reason


class _NoDebug(logging.Filter):
    """Drops the debug records of a library, regardless of the levels of handlers and loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


def hide_wire_logs() -> None:
    """Keep requests and responses out of all logs.

    For example, `httpcore` logs Harbor's session and CSRF token, and Prefect stores the records of
    loggers that an operator names. The filters are on the loggers themselves, so that no
    configuration of handlers or levels bypasses them. Each module that imports one of the libraries
    calls it after its imports.
    """
    known = [name for name in logging.root.manager.loggerDict if name.startswith(_LIBRARIES)]
    for name in {*known, *_LATE}:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _NoDebug) for each in logger.filters):
            logger.addFilter(_NoDebug())


def _in_headers(headers: Mapping[str, Any]) -> Iterator[str]:
    for name, value in headers.items():
        if not _HEADERS.search(name):
            continue
        for part in re.split(r"[;,]?\s+", str(value)):
            yield part
            yield part.partition("=")[2]
            yield from _in_basic(part)


def _in_basic(part: str) -> Iterator[str]:
    try:
        pair = base64.b64decode(part, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield pair
    yield pair.partition(":")[2]


def _in_body(body: object) -> Iterator[str]:
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    yield from _leaves(_read(body) if isinstance(body, str) else body, confidential=False)


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return dict(parse_qsl(text))


def _leaves(value: object, *, confidential: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, confidential=confidential or bool(_FIELDS.search(str(key))))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner, confidential=confidential)
    elif isinstance(value, str) and confidential:
        yield value
        yield json.dumps(value)[1:-1]
