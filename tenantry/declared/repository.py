"""The Git repository of the declared state, and the account that Tenantry uses there."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from dulwich.refs import Ref, check_ref_format
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from tenantry.declared.keys import ADVICE, read_known_hosts, read_private_key
from tenantry.pasted import Secret, Word


@dataclass(frozen=True)
class Address:
    """The parts of a repository's address."""

    scheme: str
    """`https`, `http`, `ssh` or `file`."""
    host: str
    port: int | None
    username: str | None
    path: str


class Repository(BaseModel):
    """A folder in a branch of a Git repository, and an account with push access."""

    model_config = ConfigDict(frozen=True)

    url: Word
    """`https://…`, `ssh://…`, `git@host:path`, or `file:///…`, without a password."""
    branch: Word = "main"
    """The branch to read from and push to."""
    path: Word = ""
    """The folder in the repository that contains `platform.yaml`; empty for the root."""
    username: Word = "git"
    """The user name for the token."""
    token: Secret | None = None
    """A token or password, for `https://`."""
    ssh_key: SecretStr | None = None
    """A private key without a passphrase, for SSH."""
    known_hosts: str | None = None
    """The server's public keys, in the format of a `known_hosts` file."""
    verify: bool | str = True
    """Whether to verify the server's certificate: true, false, or the path of a CA bundle."""
    author: Word = "Tenantry <tenantry@localhost>"
    """The author of the commits, in the form `Name <address>`."""

    @property
    def address(self) -> Address:
        """The parts of the address."""
        return _parse_address(self.url)

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        address = _parse_address(value)
        if address.scheme in ("http", "https") and address.username is not None:
            raise ValueError(
                "an address must not contain a user name or password; use their own fields"
            )
        if not address.path or (address.scheme != "file" and not address.host):
            raise ValueError("the address names no repository")
        return value

    @field_validator("branch")
    @classmethod
    def _check_branch(cls, value: str) -> str:
        if value.startswith("refs/") or not check_ref_format(Ref(f"refs/heads/{value}".encode())):
            raise ValueError(f"{value!r} is not the name of a branch, such as 'main'")
        return value

    @field_validator("path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        parts = PurePosixPath(value).parts
        if value.startswith("/") or ".." in parts:
            raise ValueError(f"{value!r} must be a folder inside the repository, such as 'tenants'")
        return "/".join(parts)

    @field_validator("verify", mode="before")
    @classmethod
    def _check_verify(cls, value: Any) -> Any:
        known = {"true": True, "false": False}
        if isinstance(value, str):
            value = known.get(value.strip().lower(), value.strip())
        if isinstance(value, str) and not Path(value).is_file():
            raise ValueError(f"no CA bundle exists at {value!r}; allowed: true, false, a path")
        return value

    @field_validator("author")
    @classmethod
    def _check_author(cls, value: str) -> str:
        if not re.fullmatch(r"[^<>\n\0]+ <[^<>\s\0]+>", value):
            raise ValueError(f"{value!r} must be a name and an address: 'Name <name@example.com>'")
        return value

    @field_validator("ssh_key")
    @classmethod
    def _check_ssh_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        try:
            read_private_key(value.get_secret_value())
        except ValueError as error:
            raise ValueError(f"the SSH key {error}. {ADVICE}") from None
        return value

    @field_validator("known_hosts")
    @classmethod
    def _check_known_hosts(cls, value: str | None) -> str | None:
        return read_known_hosts(value) if value else value

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        scheme = self.address.scheme
        if scheme == "ssh":
            if self.ssh_key is None or not self.known_hosts:
                raise ValueError("SSH needs both an SSH key and the server's known_hosts")
            if self.token is not None:
                raise ValueError("a token is for https://; SSH uses the SSH key")
        elif self.ssh_key is not None:
            raise ValueError(f"an SSH key is for ssh://; {scheme}:// uses a user name and a token")
        elif scheme == "file" and self.token is not None:
            raise ValueError("file:// uses no credentials")
        return self


def _parse_address(url: str) -> Address:
    """Return the parts of an address.

    Raises:
        ValueError: the address is not supported. The message does not quote it.
    """
    allowed = "an address begins with https://, ssh:// or file://, or is like git@host:path"
    if "://" in url:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(allowed) from None
        if parts.scheme not in ("http", "https", "ssh", "file") or parts.query or parts.fragment:
            raise ValueError(allowed)
        if parts.password is not None:
            raise ValueError("an address must not contain a password; use its own field")
        user = "git" if parts.scheme == "ssh" and not parts.username else parts.username
        return Address(parts.scheme, parts.hostname or "", port, user, unquote(parts.path))
    found = re.fullmatch(r"(?:([\w.-]+)@)?([\w.-]+):([^:\s][^\s]*)", url)
    if not found:
        raise ValueError(allowed)
    return Address("ssh", found[2], None, found[1] or "git", found[3])
