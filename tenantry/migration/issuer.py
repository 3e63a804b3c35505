"""The issuer that Harbor trusts changes: another realm, another host, another provider altogether.

Harbor then knows nobody any more: it knows people by subject and issuer, and refuses a second user
of the same name with 409. So Harbor trusts the new issuer first (whoever is deleted before could
come back under the old one), then its users are deleted, wave by wave, and what each had directly
is given back once the person has logged in. What a group gives is there at that login.
"""

from contextlib import ExitStack
from functools import partial

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import declare
from tenantry.migration.harbor_users import HarborStatus, HarborUsers
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import Person, Wave
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.harbors_client import secret_of

SETTINGS = (
    *("oidc_endpoint", "oidc_client_id", "oidc_name", "oidc_scope", "oidc_groups_claim"),
    *("oidc_user_claim", "oidc_auto_onboard", "oidc_admin_group", "oidc_group_filter"),
    *("oidc_logout", "oidc_verify_cert", "oidc_extra_redirect_parms"),
)
"""Harbor's settings that say how people log in; not the secret, which it never shows."""


class IssuerMigration(Migration):
    """The steps of it. The aliases of the journal, `old` and `new`, are issuers here."""

    @property
    def harbor_users(self) -> HarborUsers:
        """Everybody has to come back."""
        return HarborUsers(self, lambda person: True, issuer=self.entry.new)

    @property
    def is_plan_final(self) -> bool:
        """Not yet where the switch was begun, and Harbor did not take it."""
        return self.entry.rolling_back or (self.entry.switching and not self._is_old_trusted())

    def subject(self, person: Person) -> str:
        """What Harbor knows a person by under the new issuer."""
        return (person.new.external_id if person.new else "") + self.entry.new

    def keycloak_id(self, person: Person) -> None:
        """None: of the realm there is nothing to compare, it is another one."""

    def switch(self) -> None:
        """Lets Harbor trust the new issuer. Whoever is logged in stays so till the session ends."""
        if self.entry.switched_at is not None:
            return
        self.check_approved()
        with self.locked():
            if not self.entry.switching or self._is_old_trusted():
                self._refuse_late()
            if not self.entry.switching:
                self.update_journal(switching=True)
            self.lock.check()
            self.systems.harbor_platform.switch(self.entry.new)
            self.update_journal(phase="switched", switched_at=self.clock())
        self.told("Harbor trusts the new issuer.")

    def check_ready_to_move(self) -> None:
        """Refuses to delete anybody before that is approved, and Harbor trusts the new issuer."""
        self.check_approved()
        if self.entry.switched_at is None:
            text = f"The {self.entry.label} is {self.entry.phase}: nobody is deleted before the switch."
            raise TenantryError(text)

    def move_wave(self, number: int) -> tuple[int, str]:
        """Deletes the users of a wave, so that they can come back."""
        wave = self.record_wave(number, lambda: Wave(users=self.harbor_users.users_of(number)))
        if self.entry.phase == "switched":
            self.update_journal(phase="moving")
        gone = sum(self.map_locked(self.harbor_users.delete, wave.users))
        return len(wave.users), f"{gone} deleted"

    def follow_up(self) -> HarborStatus:
        """Gives back what people had directly, to those who have logged in since."""
        self.check_rollback_complete()
        self.clean_up()
        with self.locked():
            standing = self.harbor_users.follow_up()
            if self.entry.rolling_back and not standing.pending:
                self.update_journal(phase="rolled back", over_at=self.clock())
        return standing

    def finish(self, exclude_users: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Ends it, once the soak time is over and everybody has come back.

        Args:
            exclude_users: user names of those who are waited for no longer.
            now: do not wait for the soak time.

        Raises:
            TenantryError: it is too early, or somebody is pending.
        """
        self.check_soak_time(now=now)
        standing = self.follow_up()
        self.harbor_users.check_none_pending(standing, exclude_users)
        with self.locked():
            self.update_journal(phase="finished", over_at=self.clock())

    def roll_back(self, exclude: tuple[str, ...] = (), approved: int | None = None) -> str:
        """Let Harbor trust the old issuer again. Who was deleted returns by logging in there.

        Args:
            exclude: user names of those whom the way back does not wait for.
            approved: how many users in Harbor it may delete; any number if not given.

        HarborUsers:
            Who is back, in words. It is over once all have logged in, which `follow_up` sees.

        Raises:
            TenantryError: the old realm is out of reach, `exclude` names users who were not exported,
                or more users than approved would be deleted; nothing was changed.
        """
        given_up = self.excluded_ids(exclude)
        with self.locked(), ExitStack() as stack:
            may_delete = self.harbor_users.allowance(approved)
            old = None
            if self.entry.switching:
                old = old_realm(self.systems.keycloak_client, self.entry.old)
                if old is not None:
                    stack.callback(old.close)
                elif not self._is_old_trusted():
                    raise TenantryError(no_way_back(self.entry.old))
            self.update_journal(rolling_back=True, given_up=given_up, may_delete=may_delete)
            if old is not None:
                self.declare(declare.realm(old.realm), f"Let people log in by {old.realm} again")
                self.lock.check()
                secret = partial(secret_of, old)
                self.systems.harbor_platform.trust(self.snapshot.settings, secret)
            self.update_journal(undone=True)
        return self.follow_up().rollback_summary

    def _is_old_trusted(self) -> bool:
        """Whether Harbor trusts the old issuer, whatever was begun."""
        found = self.systems.harbor_client.settings()["oidc_endpoint"]
        return bool(found == self.entry.old)

    def _refuse_late(self) -> None:
        """Refuses to lock out whoever came by the old issuer after the export."""
        newcomers = self.harbor_users.newcomers().values()
        late = sum(subject.endswith(self.entry.old) for subject in newcomers)
        if late:
            raise TenantryError(
                f"Came by '{self.entry.old}' for the first time after the export: {late}. They would "
                "be locked out. Run plan-migration with replan: true, which plans them too."
            )


def old_realm(client: KeycloakClient, issuer: str) -> KeycloakClient | None:
    """The realm of the old issuer, where it is one of the same Keycloak; None if not."""
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


def no_way_back(issuer: str) -> str:
    """Why it can't be undone from here."""
    return (
        f"'{issuer}' is no realm of the Keycloak that the connection leads to, so its client's "
        "secret, which Harbor never shows, can't be read: there is no way back by this flow."
    )
