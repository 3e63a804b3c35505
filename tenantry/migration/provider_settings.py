"""The settings of the old and the new provider that a migration changes: visibility and mark."""

from typing import Any

from tenantry.errors import NotEffective, SystemRefused
from tenantry.locks import Lock
from tenantry.migration.declare import redirect_harbor_logins
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.providers import MIGRATION

_PROVIDERS = "identity-provider/instances"


class ProviderSettings:
    """The providers of a realm."""

    def __init__(self, keycloak: KeycloakClient, harbor: HarborClient, lock: Lock) -> None:
        """
        Args:
            keycloak: the realm.
            harbor: Harbor, which may redirect logins to a provider.
            lock: the platform's lock. It is checked before each write.
        """
        self._keycloak = keycloak
        self._harbor = harbor
        self._lock = lock

    def read(self, alias: str) -> dict[str, Any] | None:
        """Return the representation of a provider; None if it does not exist."""
        found: dict[str, Any] | None = self._keycloak.get(f"{_PROVIDERS}/{alias}")
        return found

    def is_hidden(self, alias: str) -> bool:
        """Return whether a provider is hidden on the login page."""
        return bool((self.read(alias) or {}).get("hideOnLogin"))

    def mapped_groups(self, alias: str) -> set[str]:
        """Return the groups that a login with a provider adds people to, or removes them from."""
        mappers = self._keycloak.rows(f"{_PROVIDERS}/{alias}/mappers") or ()
        groups = {(mapper.get("config") or {}).get("group") for mapper in mappers}
        return {str(group) for group in groups if group}

    def show(self, alias: str, instead_of: str) -> None:
        """Show one provider, then hide the other, then redirect Harbor's logins.

        Raises:
            SystemRefused: a provider does not exist.
            NotEffective: Keycloak accepted a change, and did not persist it.
        """
        for name, hidden in ((alias, False), (instead_of, True)):
            provider = self.read(name)
            if provider is None:
                raise SystemRefused(
                    "keycloak",
                    f"GET {_PROVIDERS}/{name}",
                    f"the identity provider '{name}' does not exist",
                    advice="Run configure-platform.",
                )
            if bool(provider.get("hideOnLogin")) != hidden:
                self._write(name, {**provider, "hideOnLogin": hidden})
            if self.is_hidden(name) != hidden:
                call = f"PUT {_PROVIDERS}/{name}"
                raise NotEffective("keycloak", call, "the setting hideOnLogin did not change")
        redirect_harbor_logins(self._harbor, alias, instead_of, self._lock)

    def mark(self, aliases: tuple[str, ...], id: str | None) -> None:
        """Mark providers with a migration's id, so that configuration and drift leave them alone.

        Args:
            aliases: the providers.
            id: the migration's id; None to remove the mark.
        """
        for alias in aliases:
            provider = self.read(alias)
            config = dict((provider or {}).get("config") or {})
            if provider is None or config.get(MIGRATION) == id:
                continue
            config.pop(MIGRATION, None)
            if id is not None:
                config[MIGRATION] = id
            self._write(alias, {**provider, "config": config})

    def delete(self, alias: str) -> None:
        """Delete a provider, with all links to it."""
        self._lock.check()
        self._keycloak.delete(f"{_PROVIDERS}/{alias}")

    def _write(self, alias: str, provider: dict[str, Any]) -> None:
        # Keycloak returns the client secret masked, and keeps it if it gets the mask back.
        self._lock.check()
        self._keycloak.put(f"{_PROVIDERS}/{alias}", provider)
