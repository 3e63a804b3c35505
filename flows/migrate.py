"""Runbook: move people to another identity provider without losing access. See docs/migrate.md.

Five flows, one for each intent, work on one migration: its journal is in the store, and says where
it is.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from pydantic import Field

from flows.onboard import BlockName, StoreName
from tasks import migration as tasks
from tasks import migration_approval as approvals
from tasks import migration_plan as planning
from tasks import migration_report
from tasks.connections import check_connections, connected, finish, read_declared_state
from tasks.names import run_name
from tasks.states import complete, fail
from tasks.store import BlockStore, NoStore
from tenantry.errors import TenantryError
from tenantry.migration.consequences import IN_HARBOR
from tenantry.migration.identities import Match
from tenantry.migration.options import Options
from tenantry.systems.systems import Systems
from tenantry.wording import count

Percent = Annotated[int, Field(ge=1, le=100)]
Hours = Annotated[int, Field(ge=0)]
Waves = Annotated[int, Field(ge=1)]
KeycloakName = Annotated[str, Field(pattern=r"^[a-z0-9-]*$")]
Hash = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


@flow(
    name="plan-migration",
    flow_run_name=run_name("plan migration"),
    retries=0,
    persist_result=False,
)
def plan_migration(
    store: StoreName,
    situation: Literal["auto", "provider", "users", "issuer"] = "auto",
    match: Match = "email",
    people: str = "",
    new_keycloak: KeycloakName = "",
    pilot: list[str] | None = None,
    groups: list[str] | None = None,
    percent: Percent = 100,
    exclude: list[str] | None = None,
    reimport: list[str] | None = None,
    soak_hours: Hours = 168,
    keep_days: Hours = 30,
    largest_wave: Percent = 50,
    plan_again: bool = False,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Find who is to be moved and what stands in the way, and plan the migration if nothing does.

    Args:
        store: Type and name of a file-system block that keeps the journal, the snapshot and the
            reports, such as local-file-system/migration.
        situation: What changes: an external provider behind the realm ("provider"), the same with
            all users re-created with other ids ("users"), or the issuer that Harbor trusts
            ("issuer"). "auto" selects "provider" if a provider is declared to replace another, and
            otherwise "issuer".
        match: How a user of the realm is found at the new provider: by "email", by "username", or by
            a "mapping" file.
        people: A CSV or Excel file in the store that lists the new provider's people.
        new_keycloak: Instead of a file, the Keycloak Connection block of the new provider.
        pilot: User names of the people who are moved first.
        groups: Groups whose people are moved next, one wave for each group.
        percent: The size of each wave of all other people, in percent.
        exclude: User names of people who are not moved; they cannot log in after the migration.
        reimport: User names of people who cannot be linked; they are deleted in the realm and
            imported with the same id.
        soak_hours: Hours between the switch and the earliest finish, in which a roll back is
            possible.
        keep_days: Days after the end of the migration in which its snapshot is kept.
        largest_wave: The largest part of Harbor's people that one wave may delete, in percent.
        plan_again: Replace a plan that is approved already.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """

    def plan(systems: Systems, kept: BlockStore) -> str:
        options = Options(
            match=match,
            pilot=tuple(pilot or ()),
            groups=tuple(groups or ()),
            percent=percent,
            exclude_users=tuple(exclude or ()),
            reimport=tuple(reimport or ()),
            soak_hours=soak_hours,
            keep_days=keep_days,
            max_wave_percent=largest_wave,
        )
        move = planning.to_plan(systems, kept, declared_state, situation, again=plan_again)
        options = planning.complete_order(move, options)
        check_connections(systems)
        tasks.check_versions(systems)
        if not planning.is_planned(move):
            there = planning.read_identities(move, match, people, new_keycloak)
            found = planning.inspect(move, there, options, people)
            migration_report.publish_inspection(move.store, found)
            found.refuse()
            planning.export(move, found, options, again=plan_again)
        return tasks.stands(move)

    return _run(plan, store, declared_state, harbor, keycloak, cluster)


@flow(
    name="continue-migration",
    flow_run_name=run_name("continue migration"),
    retries=0,
    persist_result=False,
)
def continue_migration(
    store: StoreName,
    waves: Waves | None = None,
    switch: bool = True,
    approved_plan: Hash = "",
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Continue the planned migration: ask for its approval, move people in waves, and switch.

    Args:
        store: Type and name of the file-system block that keeps the migration.
        waves: How many waves to move now; all that are left if empty.
        switch: Also let people log in by the new provider: after the last wave, or before the first
            one if Harbor's issuer changes. If off, a later run does it.
        approved_plan: The hash of the plan that you approve by starting this run, where no person
            answers a form.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """

    def go_on(systems: Systems, kept: BlockStore) -> str:
        move = tasks.current(systems, kept, declared_state)
        tasks.check_not_ending(move)
        check_connections(systems)
        tasks.check_versions(systems)
        approvals.ask_for_plan(move, approved_plan)
        if move.situation == "issuer" and switch:
            tasks.switch(move)
        if move.situation != "issuer" or switch:
            tasks.move_waves(move, waves)
        if move.situation != "issuer" and switch and not tasks.left(move):
            tasks.switch(move)
        return tasks.stands(move, more=tasks.make_pilot_links(move))

    return _run(go_on, store, declared_state, harbor, keycloak, cluster)


@flow(
    name="follow-up-migration",
    flow_run_name=run_name("follow up migration"),
    retries=0,
    persist_result=False,
)
def follow_up_migration(
    store: StoreName,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Restore links and rights that people of finished waves lack, and report every person's state.

    Args:
        store: Type and name of the file-system block that keeps the migration.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """

    def follow_up(systems: Systems, kept: BlockStore) -> str:
        move = tasks.find(systems, kept, declared_state)
        if move is None:
            return tasks.no_migration(systems, kept, declared_state)
        label = move.migration.entry.label
        standing = tasks.follow_up(move)
        if move.migration.is_on:
            migration_report.publish_standing(move.migration, systems.state, label, standing)
            _, differing = tasks.compare(move)
            text = f"{standing}; rights that differ: {differing}."
            return tasks.stands(move, standing, text)
        return tasks.stands(move, standing, f"{standing}.")

    return _run(follow_up, store, declared_state, harbor, keycloak, cluster, idle=True)


@flow(
    name="finish-migration",
    flow_run_name=run_name("finish migration"),
    retries=0,
    persist_result=False,
)
def finish_migration(
    store: StoreName,
    exclude: list[str] | None = None,
    skip_soak: bool = False,
    approval: Hash = "",
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Finish the migration after an approval; no roll back is possible from then on.

    Args:
        store: Type and name of the file-system block that keeps the migration.
        exclude: User names of people who have not logged in yet and are not waited for any longer.
        skip_soak: Finish before the soak time is over.
        approval: The hash that an earlier run showed and that you approve by starting this run,
            where no person answers a form.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """

    def end(systems: Systems, kept: BlockStore) -> str:
        move = tasks.current(systems, kept, declared_state)
        by, _ = approvals.ask_to_finish(move, tuple(exclude or ()), skip_soak, approval)
        compared, differing = tasks.compare(move)
        tasks.finish(move, tuple(exclude or ()), skip_soak)
        text = f"{count(compared, 'right')} compared, {differing} different; approved by {by}."
        return tasks.stands(move, more=text)

    return _run(end, store, declared_state, harbor, keycloak, cluster)


@flow(
    name="roll-back-migration",
    flow_run_name=run_name("roll back migration"),
    retries=0,
    persist_result=False,
)
def roll_back_migration(
    store: StoreName,
    exclude: list[str] | None = None,
    approval: Hash = "",
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Undo the migration after an approval, so that people log in as before.

    Args:
        store: Type and name of the file-system block that keeps the migration.
        exclude: User names of people who have not logged in since they were deleted and are not
            waited for any longer.
        approval: The hash that an earlier run showed and that you approve by starting this run,
            where no person answers a form.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """

    def undo(systems: Systems, kept: BlockStore) -> str:
        move = tasks.current(systems, kept, declared_state)
        by, numbers = approvals.ask_to_roll_back(move, exclude or (), approval)
        label = move.migration.entry.label
        done = tasks.roll_back(move, exclude or (), numbers[IN_HARBOR])
        standing = tasks.standing(move)
        if standing and move.migration.is_on:
            migration_report.publish_standing(move.migration, systems.state, label, standing)
        text = f"{done}; approved by {by}." if done else f"Approved by {by}."
        return tasks.stands(move, standing, text)

    return _run(undo, store, declared_state, harbor, keycloak, cluster)


def _run(
    work: Callable[[Systems, BlockStore], str],
    store: str,
    declared_state: str,
    harbor: str,
    keycloak: str,
    cluster: str,
    *,
    idle: bool = False,
) -> Any:
    """Return the final state of a run: what `work` returns, or why it failed.

    Args:
        work: what the run does with the systems and the store.
        store: type and name of the store's block.
        declared_state: name of the Declared State block.
        harbor: name of the Harbor Connection block.
        keycloak: name of the Keycloak Connection block.
        cluster: name of the Cluster Connection block.
        idle: whether the run is a scheduled one, which completes where no store exists.
    """
    try:
        kept = BlockStore(store)
        declaration = read_declared_state(declared_state)
        with connected(declaration, harbor, keycloak, cluster) as systems:
            return finish(complete(work(systems, kept)), systems.state, None)
    except NoStore as error:
        return complete(f"No migration is in progress. {error}") if idle else fail(str(error))
    except planning.NothingToMove as error:
        return complete(str(error))
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
