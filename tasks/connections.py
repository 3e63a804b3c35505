"""Loads the blocks and the declared state of a run, and connects to the systems."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect import get_run_logger
from prefect.blocks.core import Block
from prefect.client.schemas.objects import State

from blocks import loading
from blocks import platform as platform_block
from blocks.platform import PlatformBlocks
from tasks.prefect_api import needed
from tasks.states import fail
from tasks.step import retry_unread, step
from tenantry.declared import Declaration
from tenantry.systems.settle import connect, settle
from tenantry.systems.systems import Systems
from tenantry.wording import count

B = TypeVar("B", bound=Block)


@contextmanager
def connected(
    declaration: Declaration,
    blocks: PlatformBlocks,
    *,
    settle_by_keycloak: bool = True,
    **options: Any,
) -> Iterator[Systems]:
    """Connect to the systems of a platform, with conflicts between teams settled.

    The `state` of the systems is the declared state after that.

    Args:
        declaration: the declared state.
        blocks: the blocks of the platform.
        settle_by_keycloak: whether Keycloak may be called to settle conflicts.
        options: those of `Systems`.
    """
    with connect(
        blocks.connections(),
        declaration,
        keycloak=settle_by_keycloak,
        settled_by=settle_conflicts,
        **options,
    ) as systems:
        for fault in systems.state.faults:
            get_run_logger().warning("Left out: %s", fault)
        yield systems


def with_skipped(message: str, declaration: Declaration, names: Iterable[str] | None) -> str:
    """Return the message of a run with a line for each team that is skipped as offboarded."""
    return "\n".join([message, *declaration.skipped(names)])


def finish(state: State[Any], declaration: Declaration, names: Iterable[str] | None) -> State[Any]:
    """Return the final state of a run: Failed, with all faults, if a faulty file was left out.

    Args:
        state: the result of the run for all other teams.
        declaration: the declared state.
        names: the teams of the run; all teams if not given.
    """
    state.message = with_skipped(state.message or "", declaration, names)
    faults = declaration.faults_of(names)
    if not faults:
        return state
    head = f"Left out because they are faulty in {declaration.origin}:"
    return fail("\n".join([state.message or "", head, *faults]))


@step("load platform")
def load_platform(name: str) -> PlatformBlocks:
    """Return the blocks of the platform with this name.

    Raises:
        TenantryError: a block does not exist, or is faulty; no system has been called.
    """
    with needed(f"read the blocks of platform '{name}'"):
        return platform_block.load_platform(name)


def load_block(kind: type[B], name: str) -> B:
    """Return a block that a parameter of the run names.

    Raises:
        TenantryError: the block does not exist, or is faulty.
    """
    with needed(f"read block '{name}'"):
        return loading.load(kind, name, "the run's parameters")


@step("settle conflicts between teams")
def settle_conflicts(systems: Systems, keycloak: bool) -> Declaration:
    """Return the declared state with all conflicts between teams settled by the live marks.

    A read that failed is repeated. After the last try, the teams are left out whose claims could not
    be settled.
    """
    return settle(systems, keycloak, check=retry_unread)


@step("read declared state")
def read_declared_state(blocks: PlatformBlocks, commit: str | None = None) -> Declaration:
    """Return the declared state, at a commit if one is given.

    Raises:
        DeclarationError: platform.yaml is faulty; with all faults.
    """
    declaration = blocks.declared_state.read(commit)
    teams = count(len(declaration.teams), "declared team")
    get_run_logger().info("Read %s from %s.", teams, declaration.origin)
    for sentence in declaration.skipped(None):
        get_run_logger().info(sentence)
    log_warnings(declaration)
    return declaration


@step("check connections")
def check_connections(systems: Systems, configuring: bool = False) -> None:
    """Check the addresses, versions and credentials of the systems."""
    for sentence in systems.check(configuring=configuring):
        get_run_logger().info(sentence)


def log_warnings(declaration: Declaration) -> None:
    """Log the values that a later release will reject."""
    for warning in declaration.warnings:
        get_run_logger().warning("%s", warning)
