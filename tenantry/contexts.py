"""The connection file of the command line: named contexts, each with the connections to a platform.

Secrets are not written in the file. It says where each comes from: an environment variable, a command,
or the operating system's keyring. Environment variables override what the file gives.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from tenantry.connections import Connections, explain_settings
from tenantry.declared.faults import CONFIDENTIAL, Document, explain
from tenantry.declared.files import read_document
from tenantry.declared.types import Model
from tenantry.errors import DeclarationError

FILE = "TENANTRY_CONNECTIONS"
"""The environment variable with the path of the connection file."""
CONTEXT = "TENANTRY_CONTEXT"
"""The environment variable with the name of the context."""
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_COMMAND_SECONDS = 60
"""A command may ask a person to unlock a password store."""
_INLINE = (
    "A secret is not written in this file; say where it comes from: '{env: VARIABLE}', "
    "'{command: [PROGRAM, ARGUMENT]}' or '{keyring: {service: NAME, username: NAME}}'"
)


class KeyringEntry(Model):
    """An entry of the operating system's keyring."""

    service: str
    """The entry's service."""
    username: str
    """The entry's user name."""


class SecretSource(Model):
    """Where a secret comes from: one of the fields."""

    env: str | None = None
    """The name of an environment variable."""
    command: list[str] | None = Field(default=None, min_length=1)
    """A program with its arguments, whose output is the secret. No shell is involved."""
    keyring: KeyringEntry | None = None
    """An entry of the operating system's keyring. It needs the extra `keyring`."""

    @model_validator(mode="before")
    @classmethod
    def _check_one(cls, value: Any) -> Any:
        known = ("env", "command", "keyring")
        given = [key for key in known if isinstance(value, Mapping) and key in value]
        if not given:
            raise PydanticCustomError(CONFIDENTIAL, _INLINE)
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given; keep one of them")
        return value

    @field_validator("env", mode="after")
    @classmethod
    def _check_env(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):  # it may be a pasted secret
            raise PydanticCustomError(CONFIDENTIAL, "must be the name of an environment variable")
        return value


class AccountEntry(Model):
    """An address, and an account there."""

    url: str | None = None
    """The URL: scheme, host, port, and the system's base path, if any."""
    username: str | None = None
    """The account's user name; `admin` if not given."""
    password: SecretSource | None = None
    """Where the account's password comes from."""
    verify: bool | str | None = None
    """Whether to verify the server's certificate: true, false, or the path of a CA bundle."""


class KeycloakEntry(AccountEntry):
    """Keycloak, and an account there."""

    realm: str | None = None
    """The account's own realm; `master` if not given."""
    client_id: str | None = None
    """The client that the account logs in with; `admin-cli` if not given."""


class ClusterEntry(Model):
    """A Kubernetes cluster."""

    kubeconfig: str | None = None
    """The path of a kubeconfig, relative to the folder of this file."""
    context: str | None = None
    """The kubeconfig's context; its current one if not given."""


class Context(Model):
    """The connections to one platform."""

    harbor: AccountEntry = AccountEntry()
    """Harbor, and a system administrator."""
    keycloak: KeycloakEntry = KeycloakEntry()
    """Keycloak, and an account that may manage the realm."""
    kubernetes: ClusterEntry = ClusterEntry()
    """The cluster; the pod's own service account if not given."""


class ConnectionFile(Model):
    """A connection file."""

    current: str | None = None
    """The context that is used if none is selected. It is not needed with a single context."""
    contexts: dict[str, Context]
    """The contexts by name."""


def default_path() -> Path:
    """Return the path of the connection file: `$TENANTRY_CONNECTIONS`, or a file of the user."""
    given = os.environ.get(FILE)
    return Path(given) if given else Path(typer.get_app_dir("tenantry")) / "connections.yaml"


def read_file(path: Path) -> tuple[ConnectionFile, Document]:
    """Return a connection file.

    Raises:
        DeclarationError: it cannot be read, or is faulty; with all faults.
    """
    if not path.exists():
        raise DeclarationError(
            [f"The connection file {path} does not exist. 'tenantry init' writes a first one."]
        )
    document = read_document(path.parent, path)
    try:
        return ConnectionFile.model_validate(document.data), document
    except ValidationError as error:
        raise DeclarationError(explain(error, ConnectionFile, document)) from None


def connections(name: str | None = None) -> Connections:
    """Return the connections that the selected context and the environment variables give.

    Args:
        name: the context; `$TENANTRY_CONTEXT` if not given, then the file's current or only one.

    Raises:
        DeclarationError: connections are missing or faulty, the context does not exist, or a secret
            cannot be read; with all faults.
    """
    name = name or os.environ.get(CONTEXT) or None
    path = default_path()
    values: dict[str, Any] = {}
    where = f"; give it here, or in a context of {path}"
    if path.exists() or FILE in os.environ or name:
        file, document = read_file(path)
        name = _select(file, document, name)
        values = _values(file.contexts[name], path, name)
        where = f"; give it here, or in context '{name}' of {path}"
    try:
        return _Overridden(**values)
    except ValidationError as error:
        raise DeclarationError(explain_settings(error, where)) from None


class _Overridden(Connections):
    """Connections whose arguments are overridden by environment variables."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def _select(file: ConnectionFile, document: Document, name: str | None) -> str:
    known = ", ".join(file.contexts) or "none"
    if name is not None and name not in file.contexts:
        raise DeclarationError([f"{document.name} has no context '{name}'; it has: {known}."])
    if file.current is not None and file.current not in file.contexts:
        text = f"'{file.current}' is not one of the contexts: {known}"
        raise DeclarationError([document.fault(("current",), text)])
    if selected := name or file.current:
        return selected
    if len(file.contexts) == 1:
        return next(iter(file.contexts))
    text = f"none of the contexts is selected: {known}. Set 'current', or give --context"
    raise DeclarationError([document.fault(("contexts",), text)])


def _values(context: Context, path: Path, name: str) -> dict[str, Any]:
    """Return the fields of a context, with its secrets.

    Secrets that an environment variable overrides are not read, so that no command asks for them.
    """
    values: dict[str, Any] = {}
    faults = []
    overridden = {variable.upper() for variable in os.environ}
    for system, entry in (("harbor", context.harbor), ("keycloak", context.keycloak)):
        values[system] = entry.model_dump(exclude={"password"}, exclude_none=True)
        if entry.password and f"TENANTRY_{system.upper()}_PASSWORD" not in overridden:
            try:
                values[system]["password"] = _read_secret(entry.password)
            except _Unread as error:
                faults.append(f"{path}: contexts.{name}.{system}.password: {error}")
    if faults:
        raise DeclarationError(faults)
    # A context belongs to its kubeconfig: neither is of use with another of the other.
    if "TENANTRY_KUBERNETES_KUBECONFIG" not in overridden:
        values["kubernetes"] = context.kubernetes.model_dump(exclude_none=True)
        if kubeconfig := context.kubernetes.kubeconfig:
            values["kubernetes"]["kubeconfig"] = str(path.parent / Path(kubeconfig).expanduser())
    return {system: given for system, given in values.items() if given}


class _Unread(Exception):
    """A secret cannot be read."""


def _read_secret(source: SecretSource) -> SecretStr:
    if source.env is not None:
        found = os.environ.get(source.env)
        if not found:
            raise _Unread(f"the environment variable {source.env} is not set")
        return SecretStr(found)
    if source.command is not None:
        return SecretStr(_run(source.command))
    assert source.keyring is not None
    return SecretStr(_look_up(source.keyring))


def _run(command: list[str]) -> str:
    """Return the output of a command, without its last line break.

    Its error output goes to the terminal, where it may ask for a passphrase, and not into a message.
    """
    program = command[0]
    try:
        ended = subprocess.run(  # noqa: S603 the user's own file names the command
            command, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _Unread(f"the command '{program}' did not end within {_COMMAND_SECONDS} s") from None
    except OSError as error:
        raise _Unread(f"the command '{program}' cannot be run: {error.strerror}") from None
    if ended.returncode:
        raise _Unread(f"the command '{program}' failed with exit status {ended.returncode}")
    try:
        secret = ended.stdout.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Unread(f"the output of the command '{program}' is not text") from None
    if not secret:
        raise _Unread(f"the command '{program}' printed nothing")
    return secret


def _look_up(entry: KeyringEntry) -> str:
    try:
        import keyring  # an extra, which few users need
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        raise _Unread(
            "the package 'keyring' is not installed; install Tenantry with its extra 'keyring'"
        ) from None
    try:
        secret = keyring.get_password(entry.service, entry.username)
    except KeyringError as error:
        raise _Unread(f"the keyring cannot be read: {type(error).__name__}") from None
    if not secret:
        raise _Unread(
            f"the keyring has no entry of service '{entry.service}' and user '{entry.username}'; "
            f"add it with: keyring set {entry.service} {entry.username}"
        )
    return secret
