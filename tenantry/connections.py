"""Where the systems are and as whom Tenantry talks to them."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tenantry.pasted import Secret, Word

HOME = "home"
"""The name of the home cluster."""


class Account(BaseModel):
    """An address, and an account there."""

    url: Word
    """Scheme, host and port, and the path that the system is served under, if any."""
    username: Word = "admin"
    """User name of the account."""
    password: Secret
    """Its password."""
    verify: bool | str = True
    """Check the server's certificate: true, false, or the path of a CA bundle."""

    @field_validator("verify", mode="before")
    @classmethod
    def _check_verify(cls, value: Any) -> Any:
        known = {"true": True, "false": False}
        if isinstance(value, str):
            value = known.get(value.strip().lower(), value.strip())
        if isinstance(value, str) and not Path(value).exists():
            raise ValueError(f"there is no CA bundle at {value!r}; allowed: true, false, a path")
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value.rstrip("/")


class HarborAccount(Account):
    """Harbor, and a system administrator there: no robot may renew another's secret."""


class KeycloakAccount(Account):
    """Keycloak, and an account that may manage the platform's realm."""

    realm: Word = "master"
    """The realm that the account itself lives in."""
    client_id: Word = "admin-cli"
    """The client that it logs in with."""


class Cluster(BaseModel):
    """The Kubernetes API server: a kubeconfig, or the pod's own service account if empty."""

    kubeconfig: str | None = None
    """Path of a kubeconfig file."""
    kubeconfig_content: dict[str, Any] | None = Field(default=None, repr=False)
    """Or what stands in one."""
    context: Word | None = None
    """The context to use; the file's current one if not given."""


class Connections(BaseSettings):
    """All three, from the environment where not given: `TENANTRY_HARBOR_URL`,
    `TENANTRY_HARBOR_USERNAME`, `TENANTRY_HARBOR_PASSWORD`, the same for `KEYCLOAK`, and
    `TENANTRY_KUBERNETES_KUBECONFIG`.
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
