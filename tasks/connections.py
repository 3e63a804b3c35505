"""What a run loads and connects to: blocks, the declared state, and the systems."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection
from tasks.prefect_api import needed
from tasks.states import fail
from tasks.step import retry_unread, step
from tenantry.connections import Connections
from tenantry.declared import Declaration
from tenantry.errors import TenantryError
from tenantry.systems.settle import connect, settle
from tenantry.systems.systems import Systems


@contextmanager
def connected(
    declaration: Declaration,
    harbor: str,
    keycloak: str,
    cluster: str,
    *,
    settle_by_keycloak: bool = True,
    **options: Any,
) -> Iterator[Systems]:
    """Connect to the systems of these blocks, with conflicts between teams settled.

    From then on the declared state is `state` of the systems.

    Args:
        declaration: the declared state.
        harbor: the name of its block, and so on.
        keycloak: the name of its block.
        cluster: the name of its block.
        settle_by_keycloak: whether Keycloak may be called to settle conflicts.
        options: those of `Systems`.
    """
    connections = Connections(
        harbor=load_block(HarborConnection, harbor).account(),
        keycloak=load_block(KeycloakConnection, keycloak).account(),
        kubernetes=load_block(ClusterConnection, cluster).cluster(),
    )
    with connect(
        connections,
        declaration,
        keycloak=settle_by_keycloak,
        settled_by=settle_conflicts,
        **options,
    ) as systems:
        for fault in systems.state.faults:
            get_run_logger().warning("Left out: %s", fault)
        yield systems


def finish(state: State[Any], declaration: Declaration, names: Iterable[str] | None) -> State[Any]:
    """Return the final state of a run: Failed, with every fault, if a file was left out.

    Args:
        state: the state of the run for all other teams.
        declaration: the declared state.
        names: the teams that the run is about; all if not given.
    """
    faults = declaration.faults_of(names)
    if not faults:
        return state
    head = f"Left out because they are faulty in {declaration.origin}:"
    return fail("\n".join([state.message or "", head, *faults]))


def load_block(block: Any, name: str) -> Any:
    """Return the block of this name.

    Raises:
        TenantryError: it does not exist.
    """
    try:
        with needed(f"read block '{name}'"):
            return block.load(name)
    except ValueError as error:
        if "Unable to find block document" not in str(error):
            raise
        text = (
            f"There is no block '{block._block_type_name}' named '{name}'. "
            "Create it in the UI under Blocks, or name another in the run's parameters."
        )
        raise TenantryError(text) from None


@step("settle conflicts between teams")
def settle_conflicts(systems: Systems, keycloak: bool) -> Declaration:
    """Return the declared state with all conflicts between teams settled by the live marks.

    A read that failed is repeated. After the last try, the teams are left out whose claims could not
    be settled.
    """
    return settle(systems, keycloak, check=retry_unread)


@step("read declared state")
def read_declared_state(block: str, commit: str | None = None) -> Declaration:
    """Return the declared state, checked, at a commit if one is given; every fault is reported."""
    declaration: Declaration = load_block(DeclaredState, block).read(commit)
    teams = len(declaration.teams)
    get_run_logger().info("%d teams are declared in %s.", teams, declaration.origin)
    log_warnings(declaration)
    return declaration


@step("check connections")
def check_connections(systems: Systems, configuring: bool = False) -> None:
    """Check that addresses, versions and credentials work."""
    for sentence in systems.check(configuring=configuring):
        get_run_logger().info(sentence)


def log_warnings(declaration: Declaration) -> None:
    """Log the values that a later release will reject."""
    for warning in declaration.warnings:
        get_run_logger().warning("%s", warning)
