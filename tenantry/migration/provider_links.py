"""Links of the realm's users to the new provider, and the conflicts with second accounts."""

from tenantry.errors import ChangedMeanwhile, SystemRefused
from tenantry.migration import people as read
from tenantry.migration.snapshot import Link, Person
from tenantry.systems.keycloak.client import KeycloakClient


class ProviderLinks:
    """The links to one provider."""

    def __init__(self, keycloak: KeycloakClient, alias: str) -> None:
        self._keycloak = keycloak
        self._alias = alias

    def new_link(self, person: Person) -> Link:
        """Return the link of a person to the provider."""
        assert person.new is not None
        return Link(
            provider=self._alias,
            user_id=person.new.external_id,
            user_name=person.new.external_username,
        )

    def add(self, person: Person, id: str) -> bool | None:
        """Link a user to the person's identity.

        Args:
            person: the person.
            id: the current id of the user.

        Returns:
            Whether the link was missing; None if the user does not exist.

        Raises:
            SystemRefused: the user or the identity has another link.
        """
        link = self.new_link(person)
        for _ in range(2):
            links = read.read_links(self._keycloak, id)
            found = next((known for known in links if known.provider == self._alias), None)
            if found is not None:
                if found.user_id != link.user_id:
                    raise self._second_account(person)
                return False
            self.check_not_taken(person, id)
            if not links and self._keycloak.get(f"users/{id}") is None:
                return None
            body = {
                "identityProvider": self._alias,
                "userId": link.user_id,
                "userName": link.user_name,
            }
            path = f"users/{id}/federated-identity/{self._alias}"
            try:
                self._keycloak.post(path, body, status=204)
            except ChangedMeanwhile:  # Linked a moment ago: read the link again.
                continue
            return True
        raise self._second_account(person)

    def remove(self, person: Person) -> bool:
        """Remove the link that the migration added, and return whether it existed.

        A link that existed before the migration stays.
        """
        if person.link(self._alias) is not None:
            return False
        wanted = self.new_link(person)
        links = read.read_links(self._keycloak, person.id)
        if not any(
            link.provider == self._alias and link.user_id == wanted.user_id for link in links
        ):
            return False
        self._keycloak.delete(f"users/{person.id}/federated-identity/{self._alias}")
        return True

    def check_not_taken(self, person: Person, id: str) -> None:
        """Check that no other user of the realm is linked to the person's identity.

        Args:
            person: the person.
            id: the current id of the person's user.

        Raises:
            SystemRefused: another user is.
        """
        assert person.new is not None
        query = {"idpAlias": self._alias, "idpUserId": person.new.external_id}
        holders = self._keycloak.rows("users", **query)
        if any(user["id"] not in (person.id, id) for user in holders or ()):
            raise self._second_account(person)

    def _second_account(self, person: Person) -> SystemRefused:
        return SystemRefused(
            "keycloak",
            f"link user {person.id} to '{self._alias}'",
            "the identity is linked to another user, or the user is linked to another identity",
            advice="A person logged in with the new provider before being linked. Delete the second "
            "account or the wrong link, and run it again: it continues where it stopped.",
        )
