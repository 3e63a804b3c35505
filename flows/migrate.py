"""Runbook: move people to another identity provider, losing no access. See docs/migrate.md."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from pydantic import Field

from flows.onboard import BlockName, StoreName
from tasks import migration as tasks
from tasks import migration_report
from tasks.names import run_name
from tasks.onboarding import check_connections, connected, finish, read_declared_state
from tasks.states import complete, fail
from tasks.store import BlockStore, NoStore
from tenantry.declared import Declaration
from tenantry.errors import TenantryError
from tenantry.migration.identities import Match
from tenantry.migration.order import Order
from tenantry.systems import Systems
from tenantry.wording import count

Action = Literal["inspect", "migrate", "follow up", "finish", "roll back"]
Percent = Annotated[int, Field(ge=1, le=100)]
Hours = Annotated[int, Field(ge=0)]


@flow(
    name="migrate-identity-provider",
    flow_run_name=run_name("migrate identity provider: {action}"),
    retries=0,
    persist_result=False,
)
def migrate_identity_provider(
    store: StoreName,
    action: Action = "inspect",
    situation: Literal["auto", "provider", "users", "issuer"] = "auto",
    match: Match = "email",
    people: str = "",
    new_keycloak: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = "",
    pilot: list[str] | None = None,
    groups: list[str] | None = None,
    percent: Percent = 100,
    let_go: list[str] | None = None,
    reimport: list[str] | None = None,
    soak_hours: Hours = 168,
    keep_days: Hours = 30,
    largest_wave: Percent = 50,
    anew: bool = False,
    approved_plan: str = "",
    waves: Annotated[int, Field(ge=1)] | None = None,
    switch: bool = True,
    skip_soak: bool = False,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Move people to another provider, or to another issuer, wave by wave.

    Args:
        store: Type and name of a file-system block that keeps the journal, the snapshot and the
            reports, such as local-file-system/migration. All runs of a migration take the same; no
            worker's own disk.
        action: "inspect" only looks. "migrate" goes on from where the migration stands, up to the
            switch and the last wave. "follow up" mends or gives back what people lack, and tells
            how everybody stands. "finish" ends it. "roll back" undoes all of it.
        situation: What changes: an external provider behind the realm ("provider"), the same with
            all users made anew in the realm, so that they have other ids ("users"), or the issuer
            that Harbor trusts ("issuer"). "auto" is the first, if a provider is declared to replace
            another, and never the second.
        match: Who is who at the new provider: by "email", by "username", or by a "mapping" file.
        people: A CSV or Excel file in the store with the new provider's people.
        new_keycloak: Or the Keycloak Connection block of the new provider, where it is a Keycloak.
            If the issuer changes, the declared realm itself is asked where neither is given.
        pilot: User names of those who are moved first.
        groups: Groups whose people come next, a wave each.
        percent: How many percent of all the others make a wave.
        let_go: User names of those who are left behind.
        reimport: User names of those who can't be linked to the new provider: they are deleted in
            the realm and imported with the same id.
        soak_hours: Hours between the switch and the end, in which the way back stays open.
        keep_days: Days after the end in which the snapshot is kept.
        largest_wave: How many percent of Harbor's people one wave may delete at most, where its
            users are deleted.
        anew: Plan anew, though a plan was made already; before the switch only.
        approved_plan: The hash of the plan that is approved hereby, so that nobody is asked.
        waves: How many waves to move now; all that are left if not given.
        switch: Switch, too: after the waves, or before them where the issuer changes. If not, the
            next run does.
        skip_soak: Finish before the soak time is over.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        order = Order(
            match=match,
            pilot=tuple(pilot or ()),
            groups=tuple(groups or ()),
            percent=percent,
            let_go=tuple(let_go or ()),
            reimport=tuple(reimport or ()),
            soak_hours=soak_hours,
            keep_days=keep_days,
            largest_wave=largest_wave,
        )
        kept = BlockStore(store)
        declaration = read_declared_state(declared_state)
        with connected(declaration, harbor, keycloak, cluster) as systems:
            declaration = systems.state
            move = tasks.begin(systems, kept, declared_state, action, situation)
            if move is None:
                return _nothing_on(systems, kept, declared_state)
            if action == "follow up":
                return _follow_up(move, declaration)
            if action == "finish":
                return _finish(move, declaration, order.let_go, skip_soak)
            if action == "roll back":
                told = move.migration.entry.told
                return _done(declaration, f"Rolled back the {told}: {tasks.roll_back(move)}.")
            order = replace(order, recreate=move.situation == "users")
            check_connections(systems)
            tasks.check_versions(systems)
            if action == "inspect" or not tasks.is_planned(move, anew):
                there = tasks.read_identities(move, match, people, new_keycloak)
                found = tasks.inspect(move, there, order, people)
                migration_report.publish_inspection(move.store, found)
                found.refuse()
                if action == "inspect":
                    return _done(declaration, f"Nothing stands in the way. {found.summary}")
                tasks.export(move, found, order)
            tasks.ask(move, approved_plan)
            if move.situation == "issuer" and switch:
                tasks.switch(move)
            if move.situation != "issuer" or switch:
                tasks.move_waves(move, waves)
            if move.situation != "issuer" and switch and not tasks.left(move):
                tasks.switch(move)
            return _done(declaration, tasks.stands(move))
    except NoStore as error:
        if action == "follow up":
            return complete(f"No migration is on. {error}")
        return fail(str(error))
    except tasks.NothingToMove as error:
        state = complete if action == "inspect" else fail
        return state(str(error))
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))


def _nothing_on(systems: Systems, store: BlockStore, declared_state: str) -> Any:
    """Hourly, while none is on: the snapshot of the last one goes in its time."""
    forgotten = tasks.forget(tasks.Move(systems, store, declared_state, "provider"))
    more = " The snapshot of the last one was deleted, as declared." if forgotten else ""
    return _done(systems.state, f"No migration is on.{more}")


def _follow_up(move: tasks.Move, declaration: Declaration) -> Any:
    """Hourly: what people lack is mended or given back, and everybody's rights are compared."""
    told = move.migration.entry.told
    standing = tasks.follow_up(move)
    if not move.migration.is_on:
        return _done(declaration, f"Rolled back the {told}: {standing}.")
    migration_report.publish_standing(move.migration, declaration, told, standing)
    _, differing = tasks.compare(move)
    return _done(declaration, f"{standing}; rights that differ: {differing}.")


def _finish(
    move: tasks.Move, declaration: Declaration, let_go: Sequence[str], skip_soak: bool
) -> Any:
    """The last comparison, and then there is no way back."""
    told = move.migration.entry.told
    compared, differing = tasks.compare(move)
    tasks.finish(move, let_go, skip_soak)
    text = f"Finished the {told}: {count(compared, 'right')} compared, {differing} different."
    return _done(declaration, text)


def _done(declaration: Declaration, text: str) -> Any:
    """Return the final state of a run that completed its work."""
    return finish(complete(text), declaration, None)
