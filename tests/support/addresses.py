"""The addresses of the systems under test: given by TENANTRY_TEST_*, or started by the tests.

docs/testing.md describes these variables.
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
    """A Harbor and its administrator, by default with the password of Harbor's installer."""

    password: SecretStr = SecretStr(ADMIN_PASSWORD)
    sign_on: bool = False
    """Whether its OIDC provider may be replaced. Harbor never shows the provider's secret, so the
    tests cannot restore it."""


class GivenKeycloak(Account):
    """A Keycloak and its administrator in the realm master."""

    password: SecretStr = SecretStr("admin")


class Given(BaseSettings):
    """The systems whose addresses are given by the variables TENANTRY_TEST_*; None if not given."""

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
            raise ValueError(f"the file {path} does not exist")
        return path

    def addresses(self, started: dict[str, Any]) -> dict[str, Any]:
        """Return the addresses of all systems.

        Args:
            started: Addresses of the systems that the tests started, used if none is given.
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
    """Return the systems whose addresses are given.

    Raises:
        pytest.UsageError: A variable is invalid. The message names it and quotes no password.
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
    """Return the argument `verify` of httpx for a system."""
    if account is None or isinstance(account.verify, bool):
        return account is None or bool(account.verify)
    bundle = Path(account.verify)
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
