"""The content of Secrets: the credential of a robot in one of several formats, or of an OIDC
client."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from tenantry.declared.harbor_project import SecretFormat
from tenantry.systems.kubernetes.client import Object

DOCKER = "kubernetes.io/dockerconfigjson"
"""The type of image pull secrets."""
_KEYS = {"docker": ".dockerconfigjson", "config.json": "config.json"}


@dataclass(frozen=True)
class Credential:
    """A user name and a password, which `repr` does not show."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, (hidden))"


def metadata_of(secret: Object) -> dict[str, Any]:
    """Return the labels and annotations of a Secret."""
    metadata = secret["metadata"]
    return {key: metadata.get(key) or {} for key in ("labels", "annotations")}


def type_of(format: SecretFormat) -> str:
    """Return the type of a Secret of a format."""
    return {"docker": DOCKER, "config.json": "Opaque", "basic": "kubernetes.io/basic-auth"}[format]


def format_of(secret: Object) -> SecretFormat | None:
    """Return the format of a Secret by its type and its keys; None if it has none of them."""
    data = secret.get("data") or {}
    keys = {**_KEYS, "basic": "password"}
    formats: tuple[SecretFormat, ...] = get_args(SecretFormat)
    return next(
        (each for each in formats if secret.get("type") == type_of(each) and keys[each] in data),
        None,
    )


@dataclass(frozen=True)
class Content:
    """The content of a Secret of a robot, as far as it could be read."""

    registry: str = ""
    """The host that the credential is for; empty if it cannot be read."""
    credential: Credential | None = None
    """The robot's credential."""
    username: str | None = None
    """The user name of the robot; or a text if the entry contradicts itself, which breaks some
    clients."""
    others: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The rest of a Docker configuration, which belongs to other users and tools."""


def content(
    secret: Object, format: SecretFormat, registry: str, is_own: Callable[[str], bool]
) -> Content:
    """Return the content of a Secret, as far as it can be read.

    If the registry was renamed, its former entry is found by the user name, or because it is the
    only one. Its password is still valid.

    Args:
        secret: the Secret.
        format: its format.
        registry: the host of the registry.
        is_own: whether a user name is that of the robot.
    """
    data = secret.get("data") or {}
    if format == "basic":
        username, password = decode(data.get("username")), decode(data.get("password"))
        found = Credential(username, password) if username and password else None
        return Content(registry, found, username if found else None)
    try:
        config: Mapping[str, Any] = json.loads(base64.b64decode(data.get(_KEYS[format]) or b""))
        auths = dict(config["auths"])
        credentials = {host: _credential(entry) for host, entry in auths.items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return Content()
    own = [host for host, found in credentials.items() if found and is_own(found.username)]
    same = [host for host in auths if host_of(host) == registry]
    rest = {host: entry for host, entry in auths.items() if host not in (*own, *same)}
    others = {**config, "auths": rest}
    host = next(iter([*same, *own, *(auths if len(auths) == 1 else ())]), None)
    if host is None:
        return Content(", ".join(sorted(auths)), others=others)
    registry, found = registry if host in same else host, credentials[host]
    username = _username(auths[host], found) if found else None
    return Content(registry, found, username, others)


def _credential(entry: Any) -> Credential | None:
    """Return the credential of an entry as kubelets read it: `auth` takes precedence.

    Docker itself writes only `auth`.
    """
    if not isinstance(entry, Mapping):
        return None
    username, password = entry.get("username"), entry.get("password")
    if auth := entry.get("auth"):
        text = decode(auth) if isinstance(auth, str) else None
        username, _, password = (text or "").partition(":")
    if not (isinstance(username, str) and isinstance(password, str) and username and password):
        return None
    return Credential(username, password)


def _username(entry: Mapping[str, Any], found: Credential) -> str:
    given = {"username": found.username, "password": found.password}
    wrong = [key for key, value in given.items() if entry.get(key) not in (None, "", value)]
    return f"'auth' contradicts '{wrong[0]}'" if wrong else found.username


def data_of(
    format: SecretFormat, registry: str, credential: Credential, others: Mapping[str, Any]
) -> dict[str, str]:
    """Return the data of a Secret of a format for a credential.

    Args:
        format: the format.
        registry: the host of the registry.
        credential: the robot's credential.
        others: the rest of a Docker configuration, which is kept.
    """
    username, password = credential.username, credential.password
    if format == "basic":
        return {"username": encode(username), "password": encode(password)}
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": auth}
    config = {**others, "auths": {**others.get("auths", {}), registry: entry}}
    return {_KEYS[format]: encode(json.dumps(config))}


def data_without(format: SecretFormat, others: Mapping[str, Any]) -> dict[str, str]:
    """Return the data of a Secret of a format without the robot's credential.

    The keys stay, since an API server requires them for the types of such Secrets.

    Args:
        format: the format.
        others: the rest of a Docker configuration, which is kept.
    """
    if format == "basic":
        return {"username": "", "password": ""}
    return {_KEYS[format]: encode(json.dumps({**others, "auths": others.get("auths", {})}))}


def encode(text: str) -> str:
    """Return a text in base64, as a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


def decode(text: str | None) -> str | None:
    """Return a text that a Secret holds; None if it is missing, or is not text."""
    try:
        return base64.b64decode(text).decode() if text else None
    except ValueError:
        return None


def host_of(address: str) -> str:
    """Return host and port of Harbor's registry_url, which may have a scheme."""
    return address.split("://", 1)[-1].rstrip("/")
