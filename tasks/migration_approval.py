"""The approvals of a migration: of its plan, of its finish, and of its roll back.

Each names the hash of what a person was shown. A person answers a form while the run is suspended,
or starts a run with the hash as a parameter.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from tasks.approval import recall, remember, request_approval
from tasks.migration import Move, approve
from tasks.prefect_api import needed
from tasks.step import step
from tenantry.errors import TenantryError
from tenantry.migration import consequences, status
from tenantry.migration import people as read
from tenantry.migration.consequences import Consequences
from tenantry.migration.harbor_users import HarborStatus
from tenantry.migration.issuer import IssuerMigration, old_realm
from tenantry.migration.machine import Migration
from tenantry.migration.provider import ProviderMigration, ProviderStatus
from tenantry.migration.snapshot import INSPECTION, HarborUser
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count

PATIENCE = 14 * 24 * 3600
"""Seconds that a suspended run waits for its approval. No process waits with it."""
_ASKED = "asked"


def ask_for_plan(move: Move, approved: str) -> None:
    """Have the plan approved, unless it is.

    Args:
        move: the migration.
        approved: the hash that the run's caller approves; empty to ask a person.

    Raises:
        TenantryError: the plan was refused, or another one was approved.
    """
    entry = move.migration.entry
    if approved:
        approve(move, approved, f"{_who()}, by parameter")
    elif entry.phase == "exported":
        text = _describe_plan(move)
        approve(move, entry.plan, request_approval(text, entry.plan, patience=PATIENCE))


def _describe_plan(move: Move) -> Markdown:
    entry, snapshot = move.migration.entry, move.migration.snapshot
    waves = (
        markdown("1. {}: {}", name, len(snapshot.wave(number)))
        for number, name in enumerate(snapshot.waves)
    )
    return markdown(
        "**{}** to move from {} to {}.\n\n{}\n\nThe waves:\n\n{}\n\nWho they are: {} in block {}; "
        "what was found: the artifact `migration-inspection` of the run that made the plan.",
        count(len(snapshot.moving), "person", "people"),
        code(entry.old),
        code(entry.new),
        _bullets(_of_plan(move)),
        joined("\n", waves),
        code(INSPECTION),
        code(move.store.name),
    )


@step("describe plan")
def _of_plan(move: Move) -> tuple[str, ...]:
    snapshot = move.migration.snapshot
    if snapshot.situation == "provider":
        return consequences.of_plan(snapshot, 0)
    users = sum(1 for _ in move.systems.harbor_client.pages("/users"))
    way_back = True
    if snapshot.situation == "issuer":
        realm = old_realm(move.systems.keycloak_client, snapshot.old)
        way_back = realm is not None
        if realm is not None:
            realm.close()
    sign_on = move.systems.state.platform.harbor.single_sign_on
    claim = sign_on.user_claim if sign_on else "preferred_username"
    return consequences.of_plan(snapshot, users, claim=claim, way_back=way_back)


class Approved(NamedTuple):
    """An approval of what a step does."""

    by: str
    numbers: dict[str, int]
    """How many people each kind of consequence may concern."""


def ask_to_finish(move: Move, exclude: Sequence[str], skip_soak: bool, approved: str) -> Approved:
    """Return who approved the finish; suspend the run until a person has.

    Raises:
        TenantryError: it is too early, people are pending, or the finish was refused.
    """
    return _ask(_to_finish(move, exclude, skip_soak), approved)


@step("describe finish")
def _to_finish(move: Move, exclude: Sequence[str], skip_soak: bool) -> Consequences:
    migration = move.migration
    migration.check_soak_time(now=skip_soak)
    standing = migration.follow_up()
    if isinstance(migration, IssuerMigration | ProviderMigration) and migration.harbor_users.people:
        returned = standing.back if isinstance(standing, ProviderStatus) else standing
        if isinstance(returned, HarborStatus):
            migration.harbor_users.check_none_pending(returned, tuple(exclude))
    return consequences.of_finish(migration.snapshot, migration.entry, standing.incomplete, exclude)


def ask_to_roll_back(move: Move, exclude: Sequence[str], approved: str) -> Approved:
    """Return who approved the roll back; suspend the run until a person has.

    Raises:
        TenantryError: it is too late, or the roll back was refused.
    """
    return _ask(_to_roll_back(move, exclude), approved)


@step("describe rollback")
def _to_roll_back(move: Move, exclude: Sequence[str]) -> Consequences:
    migration = move.migration
    assert isinstance(migration, IssuerMigration | ProviderMigration)
    migration.excluded_ids(tuple(exclude))
    if migration.entry.finishing:
        raise TenantryError(status.no_way_back(migration.entry))
    entry, snapshot = migration.entry, migration.snapshot
    begun = entry.switching or entry.phase not in ("exported", "approved")
    deleted: list[HarborUser] = []
    if begun and migration.harbor_users.concerned:
        move.progress.begin("Finding who would be deleted")
        with migration.locked():
            deleted = migration.harbor_users.users_to_delete()
    known = {migration.subject(person) for person in migration.harbor_users.concerned}
    strangers = [user for user in deleted if user.subiss not in known]
    records = [migration.wave_record(number) for number in range(entry.waves)]
    recreated = 0 if entry.undone else sum(len(record.ids) for record in records if record)
    return consequences.of_roll_back(
        snapshot,
        entry,
        deleted,
        recreated=recreated,
        unknown=len(strangers),
        lost=sum(len(user.members) + user.admin for user in strangers),
        stranded=_stranded(migration) if begun else 0,
        exclude=exclude,
    )


def _stranded(migration: Migration) -> int:
    """Return how many users of the realm have a link to the new provider only."""
    if migration.snapshot.situation == "issuer":
        return 0
    keycloak, entry = migration.systems.keycloak_client, migration.entry
    ours = {person.id for person in migration.snapshot.people}
    ours |= {migration.keycloak_id(person) or "" for person in migration.snapshot.people}
    return len(set(read.linked(keycloak, entry.new)) - set(read.linked(keycloak, entry.old)) - ours)


def _ask(found: Consequences, approved: str) -> Approved:
    """Return who approved the consequences of a step.

    An approval holds for smaller numbers, too: people may log in while the run is suspended.
    """
    if approved:
        if approved != found.hash:
            shown = "\n".join(f"- {line}" for line in found.lines)
            raise TenantryError(
                f"What was approved is {approved[:12]}, and what this run would do is {found.hash}. "
                f"Nothing was changed. Read it, and approve that hash:\n{shown}"
            )
        return Approved(f"{_who()}, by parameter", found.numbers)
    kept: dict[str, Any] = recall(_ASKED) or {}
    if kept.get("subject") == found.subject and found.is_within(kept["numbers"]):
        plan, numbers = kept["plan"], kept["numbers"]
    else:
        plan, numbers = found.hash, found.numbers
        remember(_ASKED, {"subject": found.subject, "numbers": numbers, "plan": plan})
    return Approved(request_approval(_bullets(found.lines), plan, patience=PATIENCE), numbers)


def _bullets(lines: Sequence[str]) -> Markdown:
    return joined("\n", [markdown("- {}", line) for line in lines])


def _who() -> str:
    with needed("read the flow run"), get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    return (run.created_by and run.created_by.display_value) or "the API"
