"""What stands in a Secret: a robot's credential in one of several formats, or an OIDC client's."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenantry.declared.team import SecretFormat
from tenantry.systems.kubernetes.client import Object

DOCKER = "kubernetes.io/dockerconfigjson"
"""Type of a Secret that pods can pull with."""
_KEYS = {"docker": ".dockerconfigjson", "config.json": "config.json"}


@dataclass(frozen=True)
class Credential:
    """A user name and a password, which shows itself nowhere."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, (hidden))"


def marks(secret: Object) -> dict[str, Any]:
    """A Secret's labels and annotations."""
    metadata = secret["metadata"]
    return {key: metadata.get(key) or {} for key in ("labels", "annotations")}


def type_of(format: SecretFormat) -> str:
    """The type of a Secret of a format."""
    return {"docker": DOCKER, "config.json": "Opaque", "basic": "kubernetes.io/basic-auth"}[format]


def content(secret: Object, format: SecretFormat, registry: str) -> tuple[str, Credential | None]:
    """The host that a Secret is for, and the credential in it; as far as it can be read.

    A Secret for a single other host gives that and its credential: where the registry was renamed
    the password is still good.
    """
    data = secret.get("data") or {}
    if format == "basic":
        username, password = decode(data.get("username")), decode(data.get("password"))
        return registry, Credential(username, password) if username and password else None
    try:
        auths: Mapping[str, Any] = json.loads(base64.b64decode(data.get(_KEYS[format]) or b""))[
            "auths"
        ]
        host = registry if registry in auths or len(auths) != 1 else next(iter(auths))
        if host not in auths:
            return ", ".join(sorted(auths)), None
        return host, Credential(auths[host]["username"], auths[host]["password"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return "", None


def data_of(format: SecretFormat, registry: str, credential: Credential) -> dict[str, str]:
    """What a Secret of a format holds for a credential."""
    username, password = credential.username, credential.password
    if format == "basic":
        return {"username": encode(username), "password": encode(password)}
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": auth}
    return {_KEYS[format]: encode(json.dumps({"auths": {registry: entry}}))}


def encode(text: str) -> str:
    """Text as a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


def decode(text: str | None) -> str | None:
    """Text that a Secret holds; None if it holds none."""
    try:
        return base64.b64decode(text).decode() if text else None
    except ValueError:
        return None


def host_of(address: str) -> str:
    """Host and port of Harbor's registry_url, which comes with or without a scheme."""
    return address.split("://", 1)[-1].rstrip("/")
