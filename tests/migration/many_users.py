"""Migrations of many users, each of whose steps is measured, in a process of its own."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tenantry import declared
from tenantry.connections import Connections
from tenantry.files import FolderStore
from tenantry.migration import identities, inspect_issuer, report
from tenantry.migration.inspect_provider import inspect
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.options import Options
from tenantry.migration.provider import ProviderMigration
from tenantry.systems.systems import Systems
from tests.support.harness import Bench, connections
from tests.support.migration_harness import NEW, OLD
from tests.support.migration_store import begin

_MEGABYTE = 1024


class Step(NamedTuple):
    """One step of a migration: its seconds, and the process's peak of memory at its end, in MB."""

    name: str
    seconds: float
    memory: int


Migrate = Callable[[Connections, Path, str], list[Step]]


def in_own_process(migrate: Migrate, bench: Bench, issuer: str = "") -> list[Step]:
    """Run steps of a migration in a new process, and return their costs."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(migrate, (connections(bench.sandbox), bench.folder, issuer))


def replace_provider(given: Connections, folder: Path, issuer: str) -> list[Step]:
    """Link all users to the new provider, switch, and finish."""
    options = Options(soak_hours=0, wave_percent=25)
    with Systems(given, declared.load(folder)) as systems:
        migration = _provider(systems, folder)
        return _measured(
            inspect=lambda: _plan_provider(migration, given, issuer, options, "provider"),
            link=migration.move,
            switch=migration.switch,
            compare=lambda: report.compare(migration),
            finish=migration.finish,
        )


def re_create_users(given: Connections, folder: Path, issuer: str) -> list[Step]:
    """Re-create all users, and switch."""
    options = Options(soak_hours=0, wave_percent=25, recreate=True)
    with Systems(given, declared.load(folder)) as systems:
        migration = _provider(systems, folder)
        return _measured(
            inspect=lambda: _plan_provider(migration, given, issuer, options, "users"),
            recreate=migration.move,
            switch=migration.switch,
        )


def restore_re_created_users(given: Connections, folder: Path, issuer: str) -> list[Step]:
    """Restore the rights of re-created users who have logged in, and finish."""
    with Systems(given, declared.load(folder)) as systems:
        migration = _provider(systems, folder)
        return _measured(
            restore=migration.follow_up,
            compare=lambda: report.compare(migration),
            finish=migration.finish,
        )


def change_issuer(given: Connections, folder: Path, issuer: str) -> list[Step]:
    """Switch Harbor to the new issuer, and delete all users in waves."""
    options = Options(soak_hours=0, wave_percent=25)
    with Systems(given, declared.load(folder)) as systems:
        migration = _issuer(systems, folder)

        def plan() -> None:
            there = identities.from_realm(systems.keycloak_client)
            old, new = inspect_issuer.find_issuers(systems)
            found = inspect_issuer.inspect(systems, old, new, there, options)
            migration.approve(migration.export(found, old, new, options, "issuer"), "Ann")

        return _measured(inspect=plan, switch=migration.switch, delete=migration.move)


def restore_after_change_of_issuer(given: Connections, folder: Path, issuer: str) -> list[Step]:
    """Restore the rights of users who have logged in by the new issuer, and finish."""
    with Systems(given, declared.load(folder)) as systems:
        migration = _issuer(systems, folder)
        return _measured(restore=migration.follow_up, finish=migration.finish)


def _provider(systems: Systems, folder: Path) -> ProviderMigration:
    return begin(ProviderMigration, systems, FolderStore(folder.parent / "store"), folder)


def _issuer(systems: Systems, folder: Path) -> IssuerMigration:
    return begin(IssuerMigration, systems, FolderStore(folder.parent / "store"), folder)


def _plan_provider(
    migration: ProviderMigration, given: Connections, issuer: str, options: Options, situation: Any
) -> None:
    """Inspect, export and approve a migration to the new provider."""
    realm = issuer.replace("/platform", "/corp-new")
    there = identities.from_keycloak(given.keycloak, realm)
    found = inspect(migration.systems, OLD, NEW, there, options)
    migration.approve(migration.export(found, OLD, NEW, options, situation), "Ann")


def _measured(**steps: Callable[[], object]) -> list[Step]:
    """Do one step after the other, and return their costs."""
    done: list[Step] = []
    for name, step in steps.items():
        began = time.monotonic()
        step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _MEGABYTE
        done.append(Step(name, time.monotonic() - began, peak))
    return done
