"""Parses the content of a kubeconfig that was pasted into a form or a secret store."""

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tenantry.errors import TenantryError
from tenantry.pasted import decode_base64

COMMAND = "kubectl config view --raw --flatten --minify -o json"
"""A command that prints only the current context, with all files inlined, as JSON."""

_KEYS = re.compile(r"(apiVersion|kind|clusters|contexts|users|current-context)[\"']?\s*:")
_PATH = re.compile(r"(~|\.{0,2}/|[A-Za-z]:\\)\S*")
_REPLACED = ("DATA+OMITTED", "REDACTED")
"""The texts that kubectl prints instead of credentials, unless it is called with --raw."""


class _Part(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class _Address(_Part):
    server: str = Field(pattern=r"^https?://")


class _Cluster(_Part):
    name: str
    cluster: _Address


class _Target(_Part):
    cluster: str
    user: str


class _Context(_Part):
    name: str
    context: _Target


class _User(_Part):
    name: str
    user: dict[str, Any] | None


class _Kubeconfig(_Part):
    clusters: list[_Cluster]
    contexts: list[_Context]
    users: list[_User] | None = None


def parse(text: str) -> dict[str, Any]:
    """Return the content of a kubeconfig, given as YAML, as JSON, or as base64 of either.

    Raises:
        TenantryError: the text is not a kubeconfig. The message gives the reason, and never quotes
            the text.
    """
    given = decode_base64(text)
    try:
        content = (
            json.loads(given) if given.startswith("{") else YAML(typ="safe", pure=True).load(given)
        )
    except (YAMLError, ValueError, RecursionError):
        # The parser's own message would quote the file, and with it the token.
        raise _refuse(_what_is_wrong(given)) from None
    if not isinstance(content, dict) or not {"clusters", "contexts"} <= content.keys():
        raise _refuse(_what_is_wrong(given))
    try:
        _Kubeconfig.model_validate(content)
    except ValidationError as error:
        faults = (f"{_path(fault['loc'])}: {_message(fault)}" for fault in error.errors())
        raise _refuse(f"is faulty: {'; '.join(faults)}") from None
    if any(f'"{word}"' in given or f": {word}" in given for word in _REPLACED):
        raise _refuse("has no credentials: kubectl prints them only with --raw")
    return content


def _refuse(problem: str) -> TenantryError:
    return TenantryError(f"The kubeconfig {problem}. Paste the output of this command: {COMMAND}")


def _what_is_wrong(given: str) -> str:
    if _PATH.fullmatch(given):
        return "is the path of a file, not its content"
    if "\n" not in given and len(_KEYS.findall(given)) > 1:
        return "has lost its line breaks, probably in a one-line form field"
    return "is not the content of a kubeconfig file"


def _path(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _message(fault: Any) -> str:
    known = {
        "missing": "is missing",
        "string_pattern_mismatch": "must begin with https:// or http://",
        "string_type": "must be text",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
        "model_type": "must be a mapping",
    }
    return known.get(fault["type"]) or str(fault["msg"])
