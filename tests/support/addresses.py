"""Where the systems under test are: what TENANTRY_TEST_* gives, and what is started for the rest.

docs/testing.md tells people what these variables do.
"""

import ssl
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tenantry.connections import Account, HarborAccount
from tenantry.sandbox.harbor import ADMIN_PASSWORD


class GivenHarbor(HarborAccount):
    """A Harbor and its administrator; the password is the one that Harbor's installer puts in."""

    password: SecretStr = SecretStr(ADMIN_PASSWORD)
    sign_on: bool = False
    """Whether its OIDC provider may be replaced. Harbor never shows the provider's secret, so that
    nobody can put it back."""


class GivenKeycloak(Account):
    """A Keycloak and its administrator, who lives in the realm master."""

    password: SecretStr = SecretStr("admin")


class Given(BaseSettings):
    """The systems whose addresses are given, by the variables TENANTRY_TEST_*; None where not."""

    model_config = SettingsConfigDict(
        env_prefix="TENANTRY_TEST_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
    )

    harbor: GivenHarbor | None = None
    keycloak: GivenKeycloak | None = None
    kubeconfig: Path | None = None

    @field_validator("kubeconfig")
    @classmethod
    def _check_kubeconfig(cls, value: Path | None) -> Path | None:
        path = value and value.expanduser()
        if path and not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path

    def addresses(self, started: dict[str, Any]) -> dict[str, Any]:
        """The given systems, and what was started for the others.

        Args:
            started: addresses as the sandbox tells its own.
        """
        found = dict(started)
        for name, account in (("harbor", self.harbor), ("keycloak", self.keycloak)):
            if account:
                password = account.password.get_secret_value()
                found[name] = {**account.model_dump(), "password": password}
        if self.kubeconfig:
            found["kubernetes"] = {"kubeconfig": str(self.kubeconfig)}
        return found


@cache
def given() -> Given:
    """The systems whose addresses are given.

    Raises:
        pytest.UsageError: a variable is faulty; it says which and why, and quotes no password.
    """
    try:
        return Given()
    except ValidationError as error:
        faults = [
            f"{'_'.join(('TENANTRY_TEST', *map(str, fault['loc']))).upper()}: "
            + fault["msg"].removeprefix("Value error, ")
            for fault in error.errors(include_input=False)
        ]
    raise pytest.UsageError("; ".join(faults))


def trusted(account: Account | None) -> ssl.SSLContext | bool:
    """What httpx checks the certificate of a given system with."""
    if account is None or isinstance(account.verify, bool):
        return account is None or bool(account.verify)
    bundle = Path(account.verify)
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
