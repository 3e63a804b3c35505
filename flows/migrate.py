"""Runbook: move people to another identity provider, losing no access. See docs/migrate.md."""

from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from prefect.states import Completed, Failed
from pydantic import Field

from flows.onboard import BlockName, StoreName
from tasks import migration as tasks
from tasks.onboarding import check_connections, connected, read_declared_state
from tasks.store import BlockStore, NoStore
from tenantry.declared import Declaration
from tenantry.errors import TenantryError
from tenantry.migration.identities import Match
from tenantry.migration.inspect import refuse_other_situation
from tenantry.migration.order import Order
from tenantry.migration.snapshot import Situation

Action = Literal["inspect", "migrate", "follow up", "finish", "roll back"]
Percent = Annotated[int, Field(ge=1, le=100)]
Hours = Annotated[int, Field(ge=0)]


@flow(
    name="migrate-identity-provider",
    flow_run_name="migrate identity provider: {action}",
    retries=0,
    persist_result=False,
)
def migrate_identity_provider(
    store: StoreName,
    action: Action = "inspect",
    situation: Situation = "provider",
    match: Match = "email",
    people: str = "",
    new_keycloak: str = "",
    pilot: list[str] | None = None,
    groups: list[str] | None = None,
    percent: Percent = 100,
    let_go: list[str] | None = None,
    soak_hours: Hours = 168,
    keep_days: Hours = 30,
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
    """Move people to the provider that is declared to replace another, wave by wave.

    Args:
        store: Type and name of a file-system block that keeps the journal, the snapshot and the
            reports, such as local-file-system/migration. All runs of a migration take the same; no
            worker's own disk.
        action: "inspect" only looks. "migrate" goes on from where the migration stands, up to the
            switch. "follow up" links again whoever lost the link, and tells how everybody stands.
            "finish" takes the old provider away. "roll back" undoes all of it.
        situation: What changes. This version moves people behind a realm that stays ("provider").
        match: Who is who at the new provider: by "email", by "username", or by a "mapping" file.
        people: A CSV or Excel file in the store with the new provider's people.
        new_keycloak: Or the Keycloak Connection block of the new provider, where it is a Keycloak.
        pilot: User names of those who are moved first.
        groups: Groups whose people come next, a wave each.
        percent: How many percent of all the others make a wave.
        let_go: User names of those who are left behind.
        soak_hours: Hours between the switch and the end, in which the way back stays open.
        keep_days: Days after the end in which the snapshot is kept.
        anew: Plan anew, though a plan was made already; before the switch only.
        approved_plan: The hash of the plan that is approved hereby, so that nobody is asked.
        waves: How many waves to move now; all that are left if not given.
        switch: Switch once all waves are moved. If not, the next run does.
        skip_soak: Finish before the soak time is over.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        refuse_other_situation(situation)
        order = Order(
            match,
            tuple(pilot or ()),
            tuple(groups or ()),
            percent,
            tuple(let_go or ()),
            soak_hours,
            keep_days,
        )
        kept = BlockStore(store)
        declaration = read_declared_state(declared_state)
        with connected(declaration, harbor, keycloak, cluster) as systems:
            move = tasks.Move(systems, kept, declared_state)
            if action == "follow up":
                return _follow_up(move, declaration)
            if action == "finish":
                return _finish(move, skip_soak)
            if action == "roll back":
                return _roll_back(move)
            old, new = tasks.providers(declaration)
            move.migration.refuse_second(old, new)
            check_connections(systems)
            tasks.check_versions(systems)
            if action == "inspect" or not tasks.is_planned(move, anew):
                there = tasks.read_identities(move, declaration, new, match, people, new_keycloak)
                found = tasks.inspect(move, old, new, there, order, people)
                tasks.publish_inspection(move, found)
                found.refuse()
                if action == "inspect":
                    return Completed(message=f"Nothing stands in the way. {found.summary}")
                tasks.export(move, found, old, new, order)
            tasks.ask(move, approved_plan)
            left = tasks.link_waves(move, waves)
            if left or not switch:
                return Completed(message=f"{left} waves are left, and the switch after them.")
            tasks.switch(move)
            return Completed(
                message=f"Switched: '{new}' is shown, '{old}' hidden. Finish it from "
                f"{move.migration.soaked():%Y-%m-%d %H:%M} UTC on."
            )
    except NoStore as error:
        if action == "follow up":
            return Completed(message=f"No migration is on. {error}")
        return Failed(message=str(error))
    except TenantryError as error:
        get_run_logger().error(str(error))
        return Failed(message=str(error))


def _follow_up(move: tasks.Move, declaration: Declaration) -> Any:
    """Hourly: who lost the link is linked again, and everybody's rights are compared."""
    if not move.migration.is_on:
        forgotten = tasks.forget(move) and "The snapshot of the last one was deleted, as declared."
        return Completed(message=f"No migration is on. {forgotten or ''}".strip())
    standing = tasks.follow_up(move)
    tasks.publish_standing(move, declaration, standing)
    _, differing = tasks.compare(move)
    return Completed(message=f"{standing}; {differing} rights differ.")


def _finish(move: tasks.Move, skip_soak: bool) -> Any:
    """The last comparison, and then the old provider goes."""
    told = move.migration.entry.told
    compared, differing = tasks.compare(move)
    tasks.finish(move, skip_soak)
    return Completed(message=f"Finished {told}: {compared} rights compared, {differing} differ.")


def _roll_back(move: tasks.Move) -> Any:
    """The old provider is shown again, and the links that were made are taken away."""
    told = move.migration.entry.told
    gone = tasks.roll_back(move)
    return Completed(message=f"Rolled back {told}: {gone} links taken away.")
