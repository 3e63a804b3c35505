"""The addresses of the systems, and Tenantry's accounts there."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tenantry.pasted import Secret, Word

HOME = "home"
"""The name of the home cluster."""


class Account(BaseModel):
    """An address, and an account there."""

    url: Word
    """The URL: scheme, host, port, and the system's base path, if any."""
    username: Word = "admin"
    """The account's user name."""
    password: Secret
    """The account's password."""
    verify: bool | str = True
    """Whether to verify the server's certificate: true, false, or the path of a CA bundle."""

    @field_validator("verify", mode="before")
    @classmethod
    def _check_verify(cls, value: Any) -> Any:
        known = {"true": True, "false": False}
        if isinstance(value, str):
            value = known.get(value.strip().lower(), value.strip())
        if isinstance(value, str) and not Path(value).exists():
            raise ValueError(f"no CA bundle exists at {value!r}; allowed: true, false, a path")
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value.rstrip("/")


class HarborAccount(Account):
    """A system administrator of Harbor. A robot cannot renew another robot's secret."""


class KeycloakAccount(Account):
    """An account of Keycloak that can manage the platform's realm."""

    realm: Word = "master"
    """The account's own realm."""
    client_id: Word = "admin-cli"
    """The client that the account logs in with."""


class Cluster(BaseModel):
    """A Kubernetes cluster: a kubeconfig, or the pod's own service account if empty."""

    kubeconfig: str | None = None
    """The path of a kubeconfig file."""
    kubeconfig_content: dict[str, Any] | None = Field(default=None, repr=False)
    """The content of a kubeconfig, instead of a path."""
    context: Word | None = None
    """The context; the current context of the kubeconfig if not given."""


class Connections(BaseSettings):
    """The connections to all systems, given as arguments or by environment variables.

    The variables are `TENANTRY_HARBOR_URL`, `TENANTRY_HARBOR_USERNAME`, `TENANTRY_HARBOR_PASSWORD`,
    the same for `KEYCLOAK`, and `TENANTRY_KUBERNETES_KUBECONFIG`.
    """

    model_config = SettingsConfigDict(
        env_prefix="TENANTRY_", env_nested_delimiter="_", env_nested_max_split=1
    )

    harbor: HarborAccount
    keycloak: KeycloakAccount
    kubernetes: Cluster = Cluster()
    """The home cluster."""

    @property
    def clusters(self) -> dict[str, Cluster]:
        """The clusters by name. This version of Tenantry supports one, the home cluster."""
        return {HOME: self.kubernetes}


def explain_settings(error: ValidationError, where: str = "") -> list[str]:
    """Return a line for each variable that is missing or faulty.

    Args:
        error: the error.
        where: what follows a missing variable: where else it can be set.
    """
    faults = []
    for detail in error.errors():
        name = "TENANTRY_" + "_".join(str(part).upper() for part in detail["loc"])
        if detail["type"] != "missing":
            faults.append(f"{name}: {detail['msg'].removeprefix('Value error, ')}")
        elif len(detail["loc"]) == 1:
            faults.append(f"{name}_URL and _PASSWORD: are not set{where}")
        else:
            faults.append(f"{name}: is not set{where}")
    return faults
