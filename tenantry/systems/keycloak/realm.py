"""The platform's realm: its settings, its user profile policy, and the platform's groups."""

from collections.abc import Iterator
from typing import Any

from tenantry.declared.platform import PlatformKeycloak
from tenantry.kinds import Kind
from tenantry.marks import ADOPTED, Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import mark_of

POLICIES = {
    "refused": None,
    "admin-view": "ADMIN_VIEW",
    "admin-edit": "ADMIN_EDIT",
    "enabled": "ENABLED",
}
MINUTES = {
    "access_token_minutes": "accessTokenLifespan",
    "session_idle_minutes": "ssoSessionIdleTimeout",
    "session_max_minutes": "ssoSessionMaxLifespan",
    "offline_session_idle_minutes": "offlineSessionIdleTimeout",
}
AS_IS = {
    "display_name": "displayName",
    "brute_force_protection": "bruteForceProtected",
    "login_failures": "failureFactor",
}


class Realm:
    """The realm, and the platform's groups in it."""

    KINDS = frozenset({kinds.REALM, kinds.USER_PROFILE, kinds.GROUP})

    def __init__(
        self,
        client: KeycloakClient,
        declared: PlatformKeycloak,
        marks: Marks,
    ) -> None:
        self._client = client
        self._marks = marks
        self._declared = declared

    def desired(self) -> Iterator[Resource]:
        """Yield the realm first, then the resources in it."""
        yield from self._realm()
        for name in self._declared.groups:
            attributes = {key: [value] for key, value in self._marks.attributes(PLATFORM).items()}
            yield Resource(group_id(name), {"attributes": attributes})

    def _realm(self) -> Iterator[Resource]:
        settings, id = self._declared.realm_settings, self._id(kinds.REALM)
        if settings is None:
            return
        given = settings.model_dump(exclude_none=True)
        fields: dict[str, Any] = {"enabled": True, "attributes": self._marks.attributes(PLATFORM)}
        fields |= {key: given[name] * 60 for name, key in MINUTES.items() if name in given}
        fields |= {key: given[name] for name, key in AS_IS.items() if name in given}
        yield Resource(id, fields)
        if settings.unmanaged_attributes is not None:
            policy = {"unmanagedAttributePolicy": POLICIES[settings.unmanaged_attributes]}
            yield Resource(self._id(kinds.USER_PROFILE), policy, owner=id)

    def _id(self, kind: Kind) -> Id:
        return Id(kind, self._client.realm)

    def observe(self, realm: Representation, seen: Observed) -> None:
        """Add the realm, and the platform's groups in it, to what was observed."""
        self._observe_realm(realm, seen)
        self._observe_groups(seen)

    def _observe_realm(self, realm: Representation, seen: Observed) -> None:
        attributes = realm.get("attributes") or {}
        mark = mark_of(attributes)
        foreign = self._marks.foreign(mark, PLATFORM)
        ours = mark is not None and not foreign
        marked = ours and ADOPTED not in attributes
        live = Live(realm, ours, marked=marked, handle=realm, foreign=foreign)
        seen.live[self._id(kinds.REALM)] = live
        settings = self._declared.realm_settings
        if settings and settings.unmanaged_attributes:
            profile: Representation = self._client.get("users/profile") or {}
            seen.live[self._id(kinds.USER_PROFILE)] = Live(profile, ours, handle=profile)

    def _observe_groups(self, seen: Observed) -> None:
        for found in self._groups():
            attributes = found.get("attributes") or {}
            mark = mark_of(attributes)
            foreign = self._marks.foreign(mark, PLATFORM)
            ours = mark is not None and not foreign
            seen.live[group_id(found["name"])] = Live(
                {"attributes": attributes},
                ours,
                marked=ours and ADOPTED not in attributes,
                team=PLATFORM if ours and mark and not mark.team else None,
                handle={**found, "realm": self._client.realm},
                foreign=foreign,
            )

    def _groups(self) -> Iterator[Representation]:
        """Yield the declared groups, and those with the platform's mark that are no longer declared."""
        for group in self._client.pages("groups", briefRepresentation="false"):
            mark = mark_of(group.get("attributes"))
            marked = mark is not None and not mark.team and self._marks.is_own(mark)
            if group["name"] in self._declared.groups or marked:
                yield group

    def apply(self, change: Change) -> None:
        """Make one change."""
        match change.id.kind:
            case kinds.REALM:
                self._apply_realm(change)
            case kinds.USER_PROFILE:
                live = change.live
                profile = (live.handle if live else self._client.get("users/profile")) or {}
                self._client.put("users/profile", {**profile, **change.resource.fields}, status=200)
            case kinds.GROUP:
                self._apply_group(change)
            case _:
                raise unknown_kind(change)

    def _apply_realm(self, change: Change) -> None:
        fields = dict(change.resource.fields)
        if change.live is None:
            self._client.create_realm(fields)
            return
        # Fields that are not sent are kept, but attributes are replaced as a whole.
        attributes = dict(change.live.handle.get("attributes") or {}) | fields["attributes"]
        if change.action == "adopt":
            attributes[ADOPTED] = "true"
        self._client.put("", {**fields, "attributes": attributes})

    def _apply_group(self, change: Change) -> None:
        attributes = dict(change.resource.fields["attributes"])
        if change.live is None:
            self._client.post("groups", {"name": change.id.key, "attributes": attributes})
            return
        if change.action == "adopt":
            attributes[ADOPTED] = ["true"]
        before = change.live.handle
        attributes = (before.get("attributes") or {}) | attributes
        body = {"name": change.id.key, "attributes": attributes}
        self._client.put(f"groups/{before['id']}", body)


def group_id(name: str) -> Id:
    """Return the id of a group of the platform."""
    return Id(kinds.GROUP, name)
