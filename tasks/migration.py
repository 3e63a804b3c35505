"""The tasks of a migration to another identity provider: one for each phase, each safe to repeat."""

import time
from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from blocks import DeclaredState, KeycloakConnection
from tasks.locks import TeamLock
from tasks.onboarding import load_block
from tasks.step import step
from tasks.store import BlockStore
from tenantry.declared import Declaration
from tenantry.errors import TenantryError
from tenantry.migration import inspect as inspecting
from tenantry.migration import report
from tenantry.migration.identities import FaultyFile, Match, from_file, from_keycloak
from tenantry.migration.inspect import Inspection
from tenantry.migration.order import Order
from tenantry.migration.provider import ProviderMigration, Standing
from tenantry.migration.snapshot import Identity, report_name
from tenantry.resources import PLATFORM
from tenantry.systems import Systems

PATIENCE = 14 * 24 * 3600
"""Seconds that a suspended run waits for its approval. No process waits with it."""
_SECONDS_BETWEEN = 5.0


class Approval(RunInput):
    """What a person is asked before anybody is moved."""

    approve: bool = Field(default=False, description="Move people as the plan says.")
    plan: str = Field(default="", description="The hash of the plan that this is about. Leave it.")
    your_name: str = Field(default="", description="Who says so, for the journal.")


class Move:
    """One run, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(self, systems: Systems, store: BlockStore, declared_state: str) -> None:
        self.systems = systems
        self.store = store
        self.progress = Progress()
        block = load_block(DeclaredState, declared_state)
        self.migration = ProviderMigration(
            systems,
            self.store,
            block.edit,
            TeamLock([PLATFORM]),
            told=get_run_logger().info,
            progress=self.progress,
        )


class Progress:
    """The progress artifact, with how long the rest will take."""

    def __init__(self) -> None:
        self._artifact: Any = None
        self._what = ""
        self._began = self._said = 0.0

    def begin(self, what: str) -> None:
        """Begins at nought, with what is being done now."""
        self._what, self._began, self._said = what, time.monotonic(), 0.0

    def __call__(self, done: int, of: int) -> None:
        """So many are done; said every few seconds, and at the end."""
        now = time.monotonic()
        if done < of and now < self._said + _SECONDS_BETWEEN:
            return
        self._said = now
        left = (now - self._began) * (of - done) / max(done, 1)
        text = f"{self._what}: {done} of {of}, about {left / 60:.0f} min left"
        if self._artifact is None:
            self._artifact = create_progress_artifact(
                progress=0.0, key="migration-progress", description=text
            )
        update_progress_artifact(self._artifact, progress=100 * done / max(of, 1), description=text)
        get_run_logger().info(text)


def providers(declaration: Declaration) -> tuple[str, str]:
    """The aliases of the provider that is replaced, and of the one that replaces it.

    Raises:
        TenantryError: none is declared to replace another.
    """
    for alias, provider in declaration.platform.keycloak.external_providers.items():
        if provider.replaces:
            return provider.replaces, alias
    raise TenantryError(
        "No external provider is declared to replace another. Declare the new one beside the old "
        "one in platform.yaml, hidden, with 'replaces: <the old one's alias>'; then run "
        "configure-platform and onboard-teams."
    )


def is_planned(move: Move, anew: bool) -> bool:
    """Whether there is a plan to go on with: one that is not to be made anew, or this run's own."""
    migration = move.migration
    return migration.is_on and (not anew or migration.entry.run == str(flow_run.id))


@step("check versions")
def check_versions(systems: Systems) -> None:
    """Whether Harbor and Keycloak are new enough for this."""
    inspecting.check_versions(systems)


@step("read the new provider's people")
def read_identities(
    move: Move, declaration: Declaration, new: str, match: Match, people: str, keycloak: str
) -> list[Identity]:
    """From a file in the store, or from the new provider's admin API."""
    if bool(people) == bool(keycloak):
        given = "both are given" if people else "neither is given"
        raise TenantryError(
            "Who there is at the new provider is read from a file in the store ('people') or from "
            f"its own admin API ('new_keycloak'), and {given}."
        )
    if people:
        data = move.store.read(people)
        if data is None:
            raise FaultyFile(f"{people}: there is no such file in block '{move.store.name}'.")
        return from_file(people, data, match)
    if match == "mapping":
        raise TenantryError("A mapping is a file: name it in 'people'.")
    connection = declaration.platform.keycloak.external_providers[new].connection
    assert connection is not None
    account = load_block(KeycloakConnection, keycloak).account()
    return from_keycloak(account, connection.issuer)


@step("inspect")
def inspect(
    move: Move, old: str, new: str, identities: Sequence[Identity], order: Order, people: str
) -> Inspection:
    """Reads everybody, and writes nothing to the systems."""
    move.progress.begin("Looking")
    found = inspecting.inspect(
        move.systems, old, new, identities, order, file=people, progress=move.progress
    )
    report.write_inspection(move.store, found)
    get_run_logger().info(found.summary)
    return found


def publish_inspection(move: Move, found: Inspection) -> None:
    """What was found as a table artifact, without names."""
    where = f"Who is who: `{report.INSPECTION}` in block `{move.store.name}`."
    create_table_artifact(
        key="migration-inspection",
        table=report.inspected(found),
        description=f"{found.summary} {where}",
    )


@step("export")
def export(move: Move, found: Inspection, old: str, new: str, order: Order) -> str:
    """Writes the snapshot to the store, and reads it back."""
    return move.migration.export(found, old, new, order, "provider", str(flow_run.id))


def ask(move: Move, approved_plan: str) -> None:
    """Has the plan approved: by its hash among the parameters, or by a person in the UI.

    The run is suspended meanwhile, and begins anew when it is resumed: the journal tells where.

    Raises:
        TenantryError: it was refused, or another plan was approved.
    """
    entry, snapshot = move.migration.entry, move.migration.snapshot
    if entry.phase != "exported":
        return
    if approved_plan:
        approve(move, approved_plan, f"{_who()}, by parameter")
        return
    waves = "\n".join(
        f"1. {name}: {len(snapshot.wave(number))}" for number, name in enumerate(snapshot.waves)
    )
    text = (
        f"**{len(snapshot.moving)} people** move from `{entry.old}` to `{entry.new}`, in these "
        f"waves:\n\n{waves}\n\n{len(snapshot.people) - len(snapshot.moving)} are let go. Who they "
        f"are: `{report.INSPECTION}` in block `{move.store.name}`; what was found: the artifact "
        f"`migration-inspection` of this run.\n\nPlan `{entry.plan[:12]}`."
    )
    form = Approval.with_initial_data(
        description=text, approve=False, plan=entry.plan, your_name=""
    )
    answer = suspend_flow_run(wait_for_input=form, timeout=PATIENCE, key=f"plan-{entry.plan[:12]}")
    if not answer.approve:
        raise TenantryError(f"{answer.your_name or 'Somebody'} refused: nothing was changed.")
    approve(move, answer.plan, answer.your_name or "somebody in the UI")


def _who() -> str:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    return (run.created_by and run.created_by.display_value) or "the API"


@step("approve")
def approve(move: Move, plan: str, by: str) -> None:
    """Takes the approval down in the journal, if it is for the plan that there is."""
    move.migration.approve(plan, by)


@step("link wave", "link wave {name}")
def link_wave(move: Move, name: str) -> None:
    """Links the people of the next wave to the new provider."""
    move.progress.begin(f"Linking {name}")
    move.migration.move(1)


def link_waves(move: Move, waves: int | None) -> int:
    """A task for each wave; how many waves are left."""
    migration = move.migration
    for name in migration.snapshot.waves[migration.entry.waves_done :][:waves]:
        link_wave(move, name)
    return migration.entry.waves - migration.entry.waves_done


@step("switch")
def switch(move: Move) -> None:
    """Shows the new provider and hides the old one."""
    move.migration.switch()


@step("follow up")
def follow_up(move: Move) -> Standing:
    """Links again whoever lost the link, and tells how everybody stands."""
    return move.migration.follow_up()


def publish_standing(move: Move, declaration: Declaration, standing: Standing) -> None:
    """How many of each team's people are through, as a table artifact that an owner can be sent."""
    entry = move.migration.entry
    teams = list(declaration.teams.values())
    table = report.by_team(move.migration.snapshot, entry, set(standing.lost), teams)
    text = f"{entry.told}: {entry.phase}; {standing}."
    create_table_artifact(key="migration-by-team", table=table, description=text)


@step("compare rights")
def compare(move: Move) -> tuple[int, int]:
    """Everybody's rights before and after, to the store; how many there are, and how many differ."""
    entry = move.migration.entry
    rights = report.compare(move.systems, move.migration.snapshot)
    name = report_name(entry.id)
    report.write_rights(move.store, name, rights)
    differing = [right for right in rights if not right.is_equal]
    rows: dict[str, int] = {}
    for right in differing:
        kind = right.right.partition(" ")[0]
        rows[kind] = rows.get(kind, 0) + 1
    create_table_artifact(
        key="migration-rights",
        table=[{"right": kind, "differing": number} for kind, number in sorted(rows.items())],
        description=f"{len(rights)} rights compared, {len(differing)} differ. Right by right: "
        f"`{name}` in block `{move.store.name}`.",
    )
    return len(rights), len(differing)


@step("finish")
def finish(move: Move, now: bool) -> None:
    """Takes the old provider away."""
    move.migration.finish(now=now)


@step("roll back")
def roll_back(move: Move) -> int:
    """Undoes all of it."""
    move.progress.begin("Taking links away")
    return move.migration.roll_back()


@step("delete the snapshot")
def forget(move: Move) -> bool:
    """Deletes the snapshot of a migration that is over, once its time is over too."""
    return move.migration.forget()
