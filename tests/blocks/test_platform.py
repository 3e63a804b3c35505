"""The Platform block: which blocks it names, and which faults it reports before any call."""

from typing import Any
from uuid import uuid4

import pytest
from prefect.blocks.core import Block
from prefect.client.schemas.objects import BlockDocument
from pydantic import SecretStr, ValidationError

from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection, Platform
from blocks.loading import load
from blocks.platform import load_platform
from tenantry.errors import TenantryError

pytestmark = pytest.mark.demand(
    "reality", "a kubeconfig in every form that fits into the UI's field"
)

SECRET = "dragon-Passw0rd"
KINDS: tuple[type[Block], ...] = (
    HarborConnection,
    KeycloakConnection,
    ClusterConnection,
    DeclaredState,
)
FIELDS: dict[type[Block], dict[str, Any]] = {
    HarborConnection: {"url": "https://harbor.example.com", "password": SECRET},
    KeycloakConnection: {"url": "https://sso.example.com", "password": SECRET},
    ClusterConnection: {"context": "prod"},
    DeclaredState: {"folder": "/declared", "token": SECRET},
}


class Server:
    """The block documents of a Prefect server, as a form or another program has saved them."""

    def __init__(self) -> None:
        self._data: dict[tuple[type[Block], str], dict[str, Any]] = {}

    def save(self, kind: type[Block], name: str, **fields: Any) -> None:
        self._data[kind, name] = FIELDS.get(kind, {}) | fields

    def save_connections(self, name: str) -> None:
        for kind in KINDS:
            self.save(kind, name)

    def load(self, kind: type[Block], name: str) -> Block:
        if (kind, name) not in self._data:
            raise ValueError(f"Unable to find block document named {name} for block type x")
        return kind._load_from_block_document(
            BlockDocument(
                id=uuid4(),
                name=name,
                data=self._data[kind, name],
                block_schema_id=uuid4(),
                block_schema=kind._to_block_schema(block_type_id=uuid4()),
                block_type_id=uuid4(),
                block_document_references={},
            )
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(Block, "load", classmethod(lambda kind, name: server.load(kind, name)))
    monkeypatch.setattr("prefect.blocks.core.emit_event", lambda **event: None)
    return server


def test_a_platform_consists_of_the_blocks_that_it_names(server: Server) -> None:
    server.save_connections("default")
    server.save(HarborConnection, "eu", url="https://eu.example.com")
    server.save(ClusterConnection, "eu-admin", context="eu")
    server.save(Platform, "eu", harbor="eu\n", clusters={"eu-west ": " eu-admin"})

    found = load_platform("eu")

    connections = found.connections()
    assert connections.harbor.url == "https://eu.example.com"
    assert connections.keycloak.url == "https://sso.example.com"
    assert connections.kubernetes.context == "eu"
    assert found.declared_state.folder == "/declared"


def test_without_a_platform_block_the_default_platform_is_the_four_default_blocks(
    server: Server,
) -> None:
    server.save_connections("default")

    assert load_platform("default").harbor.url == "https://harbor.example.com"


def test_a_platform_that_does_not_exist_is_reported_with_the_parameter_that_names_it(
    server: Server,
) -> None:
    server.save_connections("default")

    with pytest.raises(TenantryError) as error:
        load_platform("staging")

    assert str(error.value) == (
        "There is no block 'Platform' named 'staging'. Create it in the UI under Blocks, or name "
        "an existing one in the run's parameter 'platform'."
    )


@pytest.mark.parametrize("name", ["default", "eu"])
def test_all_missing_blocks_are_reported_together_with_type_name_and_remedy(
    name: str, server: Server
) -> None:
    server.save(DeclaredState, name)
    server.save(KeycloakConnection, name)
    if name == "eu":
        names = dict.fromkeys(("declared_state", "harbor", "keycloak"), name)
        server.save(Platform, name, **names, clusters={"west": name})

    with pytest.raises(TenantryError) as error:
        load_platform(name)

    assert str(error.value) == "\n".join(
        f"There is no block '{kind}' named '{name}'. Create it in the UI under Blocks, or name an "
        f"existing one in the block 'Platform' named '{name}'."
        for kind in ("Harbor Connection", "Cluster Connection")
    )


@pytest.mark.parametrize(
    ("clusters", "fault"),
    [
        ({"a": "x", "b": "y"}, "supports one cluster for each platform, and 2 are given (a, b)"),
        ({}, "supports one cluster for each platform, and none is given"),
        ({"Prod": "x"}, "clusters.Prod: "),
        ({"prod": "a/../b"}, "clusters.prod: "),
        ({"prod": {"$ref": SECRET}}, "clusters.prod: Input should be a valid string"),
        ('{"prod": "x"}', "clusters: Input should be a valid dictionary"),
    ],
)
def test_a_faulty_platform_block_is_reported_in_one_message(
    clusters: Any, fault: str, server: Server
) -> None:
    server.save_connections("default")
    server.save(Platform, "default", clusters=clusters)

    with pytest.raises(TenantryError) as error:
        load_platform("default")

    said = str(error.value)
    assert said.startswith("The block 'Platform' named 'default' is faulty: clusters")
    assert fault in said
    assert said.endswith(". Correct the block.")
    with pytest.raises(ValidationError):
        Platform(clusters=clusters)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_that_cannot_be_loaded_shows_no_secret(kind: type[Block], server: Server) -> None:
    faulty = {
        "password": {"a": SECRET},
        "token": [SECRET],
        "kubeconfig": [SECRET],
        "context": [SECRET],
    }
    server.save(kind, "default", **faulty)

    with pytest.raises(TenantryError) as error:
        load(kind, "default", "the parameter")

    assert str(error.value).endswith("Correct the block.")
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    assert SECRET not in str(error.value)


def test_the_loaded_blocks_show_no_secret(server: Server) -> None:
    server.save_connections("default")
    server.save(ClusterConnection, "default", kubeconfig=SECRET)

    found = load_platform("default")

    blocks = (found, found.declared_state, found.harbor, found.keycloak, found.cluster)
    for shown in (*map(repr, blocks), *map(str, blocks)):
        assert SECRET not in shown
    assert isinstance(found.cluster.kubeconfig, SecretStr)
