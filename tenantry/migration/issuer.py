"""The change of the issuer that Harbor trusts: another realm, another host, or another provider.

Harbor identifies a user by subject and issuer, and rejects a second user of the same name with 409.
After the change, it therefore knows no user. Harbor trusts the new issuer first, since a user that is
deleted earlier could be created again with the old one. Then its users are deleted, wave by wave, and
the direct rights of each are restored after the person's next login. The rights of groups are back at
that login.
"""

from contextlib import ExitStack
from functools import partial

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import declare, harbor_rights
from tenantry.migration.harbor_rights import HarborStatus
from tenantry.migration.harbor_rollback import HarborRollback
from tenantry.migration.harbor_users import HarborUsers
from tenantry.migration.machine import Migration
from tenantry.migration.parameters import PLAN, REPLAN
from tenantry.migration.snapshot import Person, Wave
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.harbors_client import secret_of

SETTINGS = (
    *("oidc_endpoint", "oidc_client_id", "oidc_name", "oidc_scope", "oidc_groups_claim"),
    *("oidc_user_claim", "oidc_auto_onboard", "oidc_admin_group", "oidc_group_filter"),
    *("oidc_logout", "oidc_verify_cert", "oidc_extra_redirect_parms"),
)
"""Harbor's login settings, without the client secret, which Harbor never returns."""


class IssuerMigration(Migration):
    """A migration that changes Harbor's issuer. `old` and `new` are issuers."""

    @property
    def harbor_users(self) -> HarborUsers:
        """All users of the old issuer in Harbor."""
        return HarborUsers(self, lambda person: True, issuer=self.entry.new)

    @property
    def is_plan_final(self) -> bool:
        """Whether the migration cannot be planned again.

        It can, if the switch has begun and Harbor rejected the new issuer.
        """
        return self.entry.rolling_back or (self.entry.switching and not self._is_old_trusted())

    def harbor_subject(self, person: Person) -> str:
        """Return a person's subject at the new issuer followed by the new issuer."""
        return (person.new.external_id if person.new else "") + self.entry.new

    def keycloak_id(self, person: Person) -> None:
        """Return None: the realm has changed, so there are no ids to compare."""

    def switch(self) -> None:
        """Let Harbor trust the new issuer. Existing sessions continue."""
        if self.entry.switched_at is not None:
            return
        self.check_approved()
        with self.locked():
            if not self.entry.switching or self._is_old_trusted():
                self._check_no_late_users()
            if not self.entry.switching:
                self.update_journal(switching=True)
            self.lock.check()
            self.systems.harbor_platform.switch(self.entry.new)
            self.update_journal(phase="switched", switched_at=self.clock())
        self.report("Harbor trusts the new issuer.")

    def check_ready_to_move(self) -> None:
        """Check that the plan is approved, and that Harbor trusts the new issuer."""
        self.check_approved()
        if self.entry.switched_at is None:
            raise TenantryError(
                f"The {self.entry.label} is {self.entry.phase}: no user is deleted before the switch."
            )

    def move_wave(self, number: int) -> tuple[int, str]:
        """Delete the users of a wave in Harbor, so that Harbor can create them again at a login."""
        wave = self.record_wave(number, lambda: Wave(users=self.harbor_users.wave_users(number)))
        if self.entry.phase == "switched":
            self.update_journal(phase="moving")
        deleted = sum(self.map_locked(self.harbor_users.delete, wave.users))
        return len(wave.users), f"{deleted} deleted"

    def follow_up(self) -> HarborStatus:
        """Restore the direct rights of people who have logged in again, and return the status."""
        self.check_rollback_complete()
        self.clean_up()
        with self.locked():
            status = harbor_rights.follow_up(self.harbor_users)
            if self.entry.rolling_back and not status.pending:
                self.update_journal(phase="rolled back", over_at=self.clock())
        return status

    def finish(self, exclude_users: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Finish the migration, once the soak time is over and all people have logged in again.

        Args:
            exclude_users: user names of people for whom the finish does not wait.
            now: whether to finish before the soak time is over.

        Raises:
            TenantryError: it is too early, or a person is pending.
        """
        self.check_soak_time(now=now)
        status = self.follow_up()
        harbor_rights.check_none_pending(self.harbor_users, status, exclude_users)
        with self.locked():
            self.update_journal(phase="finished", over_at=self.clock())

    def roll_back(self, exclude: tuple[str, ...] = (), approved: int | None = None) -> str:
        """Let Harbor trust the old issuer again. Deleted users return by a login with it.

        Args:
            exclude: user names of people for whom the rollback does not wait.
            approved: how many users it may delete in Harbor; any number if not given.

        Returns:
            How many people have logged in again, in words. `follow_up` completes the rollback once
            all have.

        Raises:
            TenantryError: the old realm cannot be read, `exclude` names users that were not
                exported, or more users than approved would be deleted. Nothing was changed.
        """
        excluded = self.excluded_ids(exclude)
        with self.locked(), ExitStack() as stack:
            may_delete = HarborRollback(self.harbor_users).allowance(approved)
            old = None
            if self.entry.switching:
                old = open_old_realm(self.systems.keycloak_client, self.entry.old)
                if old is not None:
                    stack.callback(old.close)
                elif not self._is_old_trusted():
                    raise TenantryError(explain_no_rollback(self.entry.old))
            self.update_journal(rolling_back=True, given_up=excluded, may_delete=may_delete)
            if old is not None:
                self.declare(declare.use_realm(old.realm), f"Use the realm {old.realm} again")
                self.lock.check()
                secret = partial(secret_of, old)
                self.systems.harbor_platform.trust(self.snapshot.settings, secret)
            self.update_journal(undone=True)
        return self.follow_up().rollback_summary

    def _is_old_trusted(self) -> bool:
        """Return whether Harbor trusts the old issuer now."""
        found = self.systems.harbor_client.settings()["oidc_endpoint"]
        return bool(found == self.entry.old)

    def _check_no_late_users(self) -> None:
        """Check that no person logged in with the old issuer for the first time after the export.

        Raises:
            TenantryError: some did, and the switch would lock them out.
        """
        created = self.harbor_users.users_since_export().values()
        late = sum(subject.endswith(self.entry.old) for subject in created)
        if late:
            raise TenantryError(
                f"People who logged in with '{self.entry.old}' for the first time after the export: "
                f"{late}. They would be locked out. Run {PLAN} with {REPLAN}: true, which plans them, "
                "too."
            )


def open_old_realm(client: KeycloakClient, issuer: str) -> KeycloakClient | None:
    """Return a client of the old issuer's realm; None if it is not a realm of the same Keycloak.

    The caller closes the client.
    """
    realm = issuer.rpartition("/realms/")[2]
    found = KeycloakClient(client.account, realm)
    try:
        if found.realm_exists() and found.issuer == issuer:
            return found
    except SystemRefused:
        pass
    except TenantryError:
        found.close()
        raise
    found.close()
    return None


def explain_no_rollback(issuer: str) -> str:
    """Return why Tenantry cannot switch back to an issuer."""
    return (
        f"'{issuer}' is not a realm of the Keycloak of the connection. Tenantry cannot read the secret "
        "of its client, and Harbor never returns it, so it cannot roll back the migration."
    )
