"""A platform: its declared state, Harbor, Keycloak and clusters, each by the name of its block."""

from typing import Annotated, Any

from prefect.blocks.core import Block
from pydantic import Field, StringConstraints, field_validator

from blocks.connections import ClusterConnection, HarborConnection, KeycloakConnection
from blocks.declared_state import DeclaredState
from blocks.loading import NoSuchBlock, load
from tenantry.connections import HOME, Connections
from tenantry.errors import TenantryError

DEFAULT = "default"
"""The name of each block if no other is given."""
Name = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z0-9-]+$")]
"""The name of a block: Prefect allows no other characters. A form's field may add a line break."""
ClusterName = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
]


class Platform(Block):
    """The declared state, Harbor, Keycloak and clusters that belong together.

    A flow has the name of this block as its parameter `platform`. The fields are names of blocks, so
    this block holds no secret.

    Example:
        ```python
        from blocks import Platform

        platform = Platform.load("BLOCK_NAME")
        print(platform.check())
        ```
    """

    _block_type_name = "Platform"
    _block_type_slug = "platform"

    declared_state: Name = Field(
        default=DEFAULT,
        title="Declared State block",
        description="The name of the Declared State block.",
    )
    harbor: Name = Field(
        default=DEFAULT,
        title="Harbor Connection block",
        description="The name of the Harbor Connection block.",
    )
    keycloak: Name = Field(
        default=DEFAULT,
        title="Keycloak Connection block",
        description="The name of the Keycloak Connection block.",
    )
    clusters: dict[ClusterName, Name] = Field(
        default={HOME: DEFAULT},
        title="Clusters",
        description="The name that you give the cluster, and the name of its Cluster Connection "
        'block, as JSON, such as {"eu-west": "eu-west-admin"}. This version supports one cluster.',
    )

    @field_validator("clusters")
    @classmethod
    def _check_number(cls, clusters: dict[str, str]) -> dict[str, str]:
        if len(clusters) == 1:
            return clusters
        found = (
            f"{len(clusters)} are given ({', '.join(clusters)})" if clusters else "none is given"
        )
        raise ValueError(
            f"this version of Tenantry supports one cluster for each platform, and {found}; name "
            "one cluster here, and create a Platform block for each other cluster"
        )

    def blocks(self) -> "PlatformBlocks":
        """Return the blocks that this one names.

        Raises:
            TenantryError: blocks do not exist, or are faulty; with all of them.
        """
        return PlatformBlocks(self)

    def check(self) -> str:
        """Return in a sentence for each of the blocks that it works.

        Raises:
            TenantryError: one does not, and why.
        """
        blocks = self.blocks()
        return "\n".join(
            block.check()
            for block in (blocks.declared_state, blocks.harbor, blocks.keycloak, blocks.cluster)
        )


class PlatformBlocks:
    """The loaded blocks of a platform.

    It is not a dataclass or a model on purpose: Prefect inspects those when a task receives them,
    and this one holds secrets.

    Attributes:
        declared_state: the Declared State block.
        harbor: the Harbor Connection block.
        keycloak: the Keycloak Connection block.
        cluster: the Cluster Connection block.

    Raises:
        TenantryError: blocks do not exist, or are faulty; with all of them.
    """

    def __init__(self, platform: Platform) -> None:
        self._errors: list[str] = []
        # A platform that is not stored is the default one: no block names the others.
        name = platform._block_document_name
        self._place = f"the block 'Platform' named '{name or DEFAULT}'"
        (cluster,) = platform.clusters.values()
        declared_state = self._load(DeclaredState, platform.declared_state)
        harbor = self._load(HarborConnection, platform.harbor)
        keycloak = self._load(KeycloakConnection, platform.keycloak)
        connection = self._load(ClusterConnection, cluster)
        if self._errors:
            raise TenantryError("\n".join(self._errors))
        self.declared_state: DeclaredState = declared_state
        self.harbor: HarborConnection = harbor
        self.keycloak: KeycloakConnection = keycloak
        self.cluster: ClusterConnection = connection

    def _load(self, kind: type[Block], name: str) -> Any:
        try:
            return load(kind, name, self._place)
        except TenantryError as error:
            self._errors.append(str(error))

    def connections(self) -> Connections:
        """Return the connections as the core takes them.

        Raises:
            TenantryError: a connection is faulty.
        """
        return Connections(
            harbor=self.harbor.account(),
            keycloak=self.keycloak.account(),
            kubernetes=self.cluster.cluster(),
        )


def load_platform(name: str) -> PlatformBlocks:
    """Return the loaded blocks of the platform with this name.

    Where no Platform block 'default' exists, the platform `default` consists of the four blocks with
    the name 'default'.

    Raises:
        TenantryError: a block does not exist, or is faulty.
    """
    try:
        platform = load(Platform, name, "the run's parameter 'platform'")
    except NoSuchBlock:
        if name != DEFAULT:
            raise
        platform = Platform()
    return platform.blocks()
