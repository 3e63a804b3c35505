"""The adapter for the platform's own resources in Keycloak: realm, groups, providers, Harbor's
client.

Realm, groups, clients and providers carry Tenantry's mark. The resources in them share their
ownership.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from tenantry.calls import Clock
from tenantry.declared import Declaration, Platform
from tenantry.errors import SystemRefused
from tenantry.marks import Marks
from tenantry.plan import Change
from tenantry.resources import Observed, Resource
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.harbors_client import HarborsClient
from tenantry.systems.keycloak.providers import Providers
from tenantry.systems.keycloak.realm import Realm
from tenantry.systems.kubernetes.clusters import Clusters


class KeycloakPlatform:
    """The adapter for the realm, its groups, its external providers, and Harbor's client."""

    name = "Keycloak"
    system = "keycloak"
    kinds = Realm.KINDS | Providers.KINDS | HarborsClient.KINDS

    def __init__(
        self,
        client: KeycloakClient,
        harbor: HarborClient,
        clusters: Clusters,
        state: Declaration,
        clock: Clock,
        marks: Marks,
        hand_over: Callable[[str], None],
        *,
        renew_secret_before: datetime | None = None,
    ) -> None:
        """
        Args:
            client: the realm.
            harbor: provides the redirect address of Harbor's client, and Harbor's version.
            clusters: the connections to the clusters. The home cluster holds the secrets of
                providers.
            state: the declared state.
            clock: the clock for the age of the client secret.
            marks: the platform's marks.
            hand_over: gives Harbor another secret of its client, and returns when Harbor uses it.
            renew_secret_before: plan a new secret of Harbor's client if the current one was created
                before this time.
        """
        declared, sign_on = state.platform.keycloak, state.platform.harbor.single_sign_on
        self._client = client
        self._declared = declared
        self._sign_on = sign_on
        self._realm = Realm(client, declared, marks)
        self._providers = Providers(client, clusters.home, declared, marks)
        self.harbors_client = HarborsClient(
            client, harbor, sign_on, clock, marks, hand_over, renew_secret_before
        )

    def desired(self, owner: Platform, observed: Observed) -> list[Resource]:
        """Return the platform's own resources in Keycloak."""
        return [
            *self._realm.desired(),
            *self._providers.desired(observed),
            *self.harbors_client.desired(observed),
        ]

    def observe(self, owners: Sequence[Platform], observed: Observed) -> Observed:
        """Return the platform's own resources in the realm, including those no longer declared."""
        seen = Observed()
        if not (
            self._declared.realm_settings
            or self._declared.groups
            or self._providers.connections
            or self._sign_on
        ):
            return seen
        realm = self._client.get("")
        if realm is not None:
            self._realm.observe(realm, seen)
            self.harbors_client.observe(seen)
        elif self._declared.realm_settings is None:
            raise SystemRefused(
                "keycloak",
                f"GET /admin/realms/{self._client.realm}",
                f"there is no realm '{self._client.realm}'",
                status=404,
                advice="Create it, or declare keycloak.realm_settings in platform.yaml ({} is enough), so "
                "that Tenantry creates it.",
            )
        self._providers.observe(seen, there=realm is not None)
        if realm is not None:
            self._providers.observe_left(seen)
        return seen

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.action == "delete":
            assert change.live is not None
            self._client.delete(change.live.handle)
        elif change.id.kind in Realm.KINDS:
            self._realm.apply(change)
        elif change.id.kind in Providers.KINDS:
            self._providers.apply(change)
        else:
            self.harbors_client.apply(change)
