"""Types for pasted text, which may have lost or added line breaks, or be encoded as base64."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr


def decode_base64(text: str) -> str:
    """Return the text decoded from base64, or, if it is not base64, the text without a BOM."""
    text = text.removeprefix("\ufeff").strip()
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return text
    return decoded.removeprefix("\ufeff").strip() or text


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _strip_line_breaks(value: SecretStr) -> SecretStr:
    return SecretStr(value.get_secret_value().strip("\r\n"))


Word = Annotated[str, BeforeValidator(_strip)]
"""A value without blanks around it, because multi-line form fields accept a trailing line break."""
Secret = Annotated[SecretStr, AfterValidator(_strip_line_breaks)]
"""A password or token without line breaks around it. Blanks may be part of it."""
