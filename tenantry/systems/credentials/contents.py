"""What stands in a Secret: a docker configuration with one credential, or an OIDC client's data."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenantry.systems.kubernetes.client import Object

DOCKER = "kubernetes.io/dockerconfigjson"
"""Type of a Secret that pods can pull with."""
_KEY = ".dockerconfigjson"


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


def docker_content(secret: Object, registry: str) -> tuple[str, Credential | None]:
    """The host that a pull Secret is for, and the credential in it; as far as it can be read."""
    try:
        auths: Mapping[str, Any] = json.loads(base64.b64decode(secret["data"][_KEY]))["auths"]
        entry = auths.get(registry)
        if entry is None:
            return ", ".join(sorted(auths)), None
        return registry, Credential(entry["username"], entry["password"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return "", None


def docker_data(registry: str, credential: Credential) -> dict[str, str]:
    """The content of a pull Secret."""
    username, password = credential.username, credential.password
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": auth}
    return {_KEY: encode(json.dumps({"auths": {registry: entry}}))}


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
