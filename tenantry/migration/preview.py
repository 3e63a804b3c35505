"""The consequences of a migration's next step, computed from the systems before its approval."""

from collections.abc import Sequence

from tenantry.errors import TenantryError
from tenantry.migration import consequences, harbor_rights
from tenantry.migration import people as read
from tenantry.migration.consequences import Consequences
from tenantry.migration.harbor_rollback import HarborRollback
from tenantry.migration.issuer import open_old_realm
from tenantry.migration.kinds import AnyMigration
from tenantry.migration.provider import ProviderStatus
from tenantry.migration.snapshot import HarborUser
from tenantry.migration.status import explain_no_rollback


def preview_plan(migration: AnyMigration) -> tuple[str, ...]:
    """Return the consequences of the plan."""
    snapshot, systems = migration.snapshot, migration.systems
    if snapshot.situation == "provider":
        return consequences.of_plan(snapshot, 0)
    users = sum(1 for _ in systems.harbor_client.pages("/users"))
    can_roll_back = True
    if snapshot.situation == "issuer":
        realm = open_old_realm(systems.keycloak_client, snapshot.old)
        can_roll_back = realm is not None
        if realm is not None:
            realm.close()
    sign_on = systems.state.platform.harbor.single_sign_on
    claim = sign_on.user_claim if sign_on else "preferred_username"
    return consequences.of_plan(snapshot, users, claim=claim, can_roll_back=can_roll_back)


def preview_finish(
    migration: AnyMigration, exclude: Sequence[str], *, skip_soak: bool
) -> Consequences:
    """Return the consequences of the finish.

    Raises:
        TenantryError: it is too early, or people who are not excluded are pending.
    """
    migration.check_soak_time(now=skip_soak)
    status = migration.follow_up()
    harbor = status.harbor if isinstance(status, ProviderStatus) else status
    if migration.harbor_users.exported and harbor is not None:
        harbor_rights.check_none_pending(migration.harbor_users, harbor, tuple(exclude))
    return consequences.of_finish(migration.snapshot, migration.entry, status.incomplete, exclude)


def preview_rollback(migration: AnyMigration, exclude: Sequence[str]) -> Consequences:
    """Return the consequences of a rollback.

    Raises:
        TenantryError: the finish has begun, or `exclude` names users that were not exported.
    """
    migration.excluded_ids(tuple(exclude))
    entry, users = migration.entry, migration.harbor_users
    if entry.finishing:
        raise TenantryError(explain_no_rollback(entry))
    begun = entry.switching or entry.phase not in ("exported", "approved")
    deleted: list[HarborUser] = []
    if begun and users.affected:
        with migration.locked():
            deleted = HarborRollback(users).users_to_delete()
    planned = {migration.harbor_subject(person) for person in users.affected}
    unknown = [user for user in deleted if user.subiss not in planned]
    records = [migration.wave_record(number) for number in range(entry.waves)]
    recreated = 0 if entry.undone else sum(len(record.ids) for record in records if record)
    return consequences.of_rollback(
        migration.snapshot,
        entry,
        deleted,
        recreated=recreated,
        unknown=len(unknown),
        lost=sum(len(user.members) + user.admin for user in unknown),
        stranded=_count_stranded(migration) if begun else 0,
        exclude=exclude,
    )


def _count_stranded(migration: AnyMigration) -> int:
    """Return how many users of the realm have a link to the new provider only."""
    snapshot, entry = migration.snapshot, migration.entry
    if snapshot.situation == "issuer":
        return 0
    keycloak = migration.systems.keycloak_client
    planned = {person.id for person in snapshot.people}
    planned |= {migration.keycloak_id(person) or "" for person in snapshot.people}
    with_new = set(read.linked_users(keycloak, entry.new))
    return len(with_new - set(read.linked_users(keycloak, entry.old)) - planned)
