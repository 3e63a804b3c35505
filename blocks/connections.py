"""Where the systems are and as whom Tenantry talks to them: filled in once, in the UI."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, ValidationError

from tenantry import kubeconfig
from tenantry.connections import Cluster, HarborAccount, KeycloakAccount
from tenantry.errors import TenantryError
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.health import check_harbor, check_keycloak, check_kubernetes
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient


class HarborConnection(Block):
    """A Harbor registry and a system administrator there.

    Example:
        ```python
        from blocks import HarborConnection

        connection = HarborConnection.load("BLOCK_NAME")
        print(connection.check())
        ```
    """

    _block_type_name = "Harbor Connection"
    _block_type_slug = "harbor-connection"

    url: str = Field(description="Address of Harbor, such as https://harbor.example.com.")
    username: str = Field(
        default="admin",
        description="A system administrator: Harbor lets no robot renew another robot's secret.",
    )
    password: SecretStr = Field(description="The administrator's password.")
    verify: bool | str = Field(
        default=True,
        description="Check the server's certificate: true, false, or the path of a CA bundle.",
    )

    def account(self) -> HarborAccount:
        """The connection as the core takes it.

        Raises:
            TenantryError: the address is none.
        """
        try:
            return HarborAccount(
                url=self.url, username=self.username, password=self.password, verify=self.verify
            )
        except ValidationError as error:
            raise _faulty("Harbor", error) from None

    def check(self) -> str:
        """Return in a sentence that address, version and credentials work.

        A Harbor without OIDC passes: a fresh one is in `db_auth` until `configure-platform` changes
        that. The flows that need OIDC groups refuse it by themselves.

        Raises:
            TenantryError: they don't, and why.
        """
        client = HarborClient(self.account())
        try:
            return check_harbor(client, any_mode=True)
        finally:
            client.close()


class KeycloakConnection(Block):
    """A Keycloak server and an account that may manage the platform's realm.

    Example:
        ```python
        from blocks import KeycloakConnection

        connection = KeycloakConnection.load("BLOCK_NAME")
        print(connection.check())
        ```
    """

    _block_type_name = "Keycloak Connection"
    _block_type_slug = "keycloak-connection"

    url: str = Field(
        description="Address of Keycloak, with the path that it is served under, if any, such as "
        "https://sso.example.com/auth."
    )
    username: str = Field(default="admin", description="An account that may manage the realm.")
    password: SecretStr = Field(description="The account's password.")
    realm: str = Field(default="master", description="The realm that the account itself lives in.")
    client_id: str = Field(default="admin-cli", description="The client that it logs in with.")
    verify: bool | str = Field(
        default=True,
        description="Check the server's certificate: true, false, or the path of a CA bundle.",
    )

    def account(self) -> KeycloakAccount:
        """The connection as the core takes it.

        Raises:
            TenantryError: the address is none.
        """
        try:
            return KeycloakAccount(
                url=self.url,
                username=self.username,
                password=self.password,
                realm=self.realm,
                client_id=self.client_id,
                verify=self.verify,
            )
        except ValidationError as error:
            raise _faulty("Keycloak", error) from None

    def check(self) -> str:
        """Whether address, version and credentials work, in a sentence.

        Raises:
            TenantryError: they don't, and why.
        """
        client = KeycloakClient(self.account(), self.realm)
        try:
            return check_keycloak(client)
        finally:
            client.close()


class ClusterConnection(Block):
    """A Kubernetes cluster.

    Example:
        ```python
        from blocks import ClusterConnection

        connection = ClusterConnection.load("BLOCK_NAME")
        print(connection.check())
        ```
    """

    _block_type_name = "Cluster Connection"
    _block_type_slug = "cluster-connection"

    kubeconfig: SecretStr | None = Field(
        default=None,
        description="The content of a kubeconfig: YAML, JSON, or base64 of either. This command "
        f"prints one that fits into the field: {kubeconfig.COMMAND}. If the field is empty, the "
        "service account of the pod that runs the flow is used.",
    )
    context: str | None = Field(
        default=None,
        description="The context to use. If empty, the current context of the kubeconfig.",
    )

    def cluster(self) -> Cluster:
        """Return the connection as the core takes it.

        Raises:
            TenantryError: the kubeconfig is faulty.
        """
        given = self.kubeconfig.get_secret_value() if self.kubeconfig else ""
        context = (self.context or "").strip() or None
        if not given.strip():
            return Cluster(context=context)
        try:
            return Cluster(kubeconfig_content=kubeconfig.parse(given), context=context)
        except TenantryError as error:
            raise TenantryError(f"The Cluster Connection is faulty: {error}") from None

    def check(self) -> str:
        """Whether address and credentials work, in a sentence.

        Raises:
            TenantryError: they don't, and why.
        """
        client = KubernetesClient(self.cluster())
        try:
            return check_kubernetes(client)
        finally:
            client.close()


def _faulty(name: str, error: ValidationError) -> TenantryError:
    """What is wrong with a block, without quoting what stands in it."""
    faults = "; ".join(
        f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False)
    )
    return TenantryError(f"The {name} Connection is faulty: {faults}. Correct the block.")
