"""The addresses and accounts of Harbor, Keycloak and the cluster, entered once in the UI."""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, ValidationError

from blocks.loading import describe_faults
from tenantry import kubeconfig
from tenantry.connections import Cluster, HarborAccount, KeycloakAccount
from tenantry.errors import TenantryError
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.health import check_harbor, check_keycloak, check_kubernetes
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient


class HarborConnection(Block):
    """The address of a Harbor registry, and a system administrator of it.

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
        description="A system administrator, not a robot: Harbor does not allow a robot to renew the "
        "secret of another robot.",
    )
    password: SecretStr = Field(description="The administrator's password.")
    verify: bool | str = Field(
        default=True,
        description="Check the server's certificate: true, false, or the path of a CA bundle.",
    )

    def account(self) -> HarborAccount:
        """Return the connection as the core takes it.

        Raises:
            TenantryError: a field, such as the address, is faulty.
        """
        try:
            return HarborAccount(
                url=self.url, username=self.username, password=self.password, verify=self.verify
            )
        except ValidationError as error:
            raise _faulty("Harbor", error) from None

    def check(self) -> str:
        """Return a sentence that confirms the address, the version and the credentials.

        Harbor may be in `db_auth`, as it is after its installation until `configure-platform` changes
        that. The flows that need OIDC groups reject such a Harbor themselves.

        Raises:
            TenantryError: the check failed, and why.
        """
        client = HarborClient(self.account())
        try:
            return check_harbor(client, any_mode=True)
        finally:
            client.close()


class KeycloakConnection(Block):
    """The address of a Keycloak server, and an account that may manage the platform's realm.

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
        description="Address of Keycloak, with its path if it has one, such as "
        "https://sso.example.com/auth."
    )
    username: str = Field(default="admin", description="An account that may manage the realm.")
    password: SecretStr = Field(description="The account's password.")
    realm: str = Field(default="master", description="The realm of the account itself.")
    client_id: str = Field(
        default="admin-cli",
        description="The client that the account logs in with. It must allow direct access grants.",
    )
    verify: bool | str = Field(
        default=True,
        description="Check the server's certificate: true, false, or the path of a CA bundle.",
    )

    def account(self) -> KeycloakAccount:
        """Return the connection as the core takes it.

        Raises:
            TenantryError: a field, such as the address, is faulty.
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
        """Return a sentence that confirms the address, the version and the credentials.

        Raises:
            TenantryError: the check failed, and why.
        """
        client = KeycloakClient(self.account(), self.realm)
        try:
            return check_keycloak(client)
        finally:
            client.close()


class ClusterConnection(Block):
    """The address of a Kubernetes cluster, and the credentials for it.

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
        f"prints one that fits into the field: {kubeconfig.COMMAND}. If the field is empty, Tenantry "
        "uses the service account of the pod that runs the flow.",
    )
    context: str | None = Field(
        default=None,
        description="The context to use. If it is empty, Tenantry uses the current context of the kubeconfig.",
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
        """Return a sentence that confirms the address and the credentials.

        Raises:
            TenantryError: the check failed, and why.
        """
        client = KubernetesClient(self.cluster())
        try:
            return check_kubernetes(client)
        finally:
            client.close()


def _faulty(name: str, error: ValidationError) -> TenantryError:
    """Return what is wrong with a block, without its values: they may be secrets."""
    return TenantryError(
        f"The {name} Connection is faulty: {describe_faults(error)}. Correct the block."
    )
