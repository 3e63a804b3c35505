"""Harbor's OIDC client in the realm, its claims and its scopes."""

from collections.abc import Callable, Iterator
from datetime import datetime
from urllib.parse import urlsplit

from tenantry.calls import Clock
from tenantry.declared.single_sign_on import SingleSignOn
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import ADOPTED, Marks
from tenantry.plan import Change, unknown_kind
from tenantry.resources import PLATFORM, Id, Live, Observed, Resource
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak import kinds
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.client_secret import ClientSecret
from tenantry.systems.keycloak.clients import (
    apply_client,
    client_fields,
    groups_mapper,
    mark_of,
    named,
    observed_fields,
)

PKCE_SINCE = (2, 13)
"""The first version of Harbor that supports PKCE. Logins of older versions fail if PKCE is
required."""
_GROUPS_MAPPER = "oidc-group-membership-mapper"


class HarborsClient:
    """Harbor's client, its groups claim and its scopes."""

    KINDS = frozenset({kinds.CLIENT, kinds.CLIENT_SECRET, kinds.CLAIM, kinds.CLIENT_SCOPES})

    def __init__(
        self,
        client: KeycloakClient,
        harbor: HarborClient,
        sign_on: SingleSignOn | None,
        clock: Clock,
        marks: Marks,
        hand_over: Callable[[str], None],
        renew_secret_before: datetime | None = None,
    ) -> None:
        """
        Args:
            client: the realm.
            harbor: provides the redirect address and the version.
            sign_on: the declared single sign-on; None if it is not declared.
            clock: the clock for the age of the secret.
            marks: the platform's marks.
            hand_over: gives Harbor another secret of its client, and returns when Harbor uses it.
            renew_secret_before: plan a new secret if the current one was created before this time.
        """
        self._marks = marks
        self._client = client
        self._harbor = harbor
        self._sign_on = sign_on
        self._secret = ClientSecret(client, sign_on, clock, hand_over, renew_secret_before)

    def desired(self, observed: Observed) -> Iterator[Resource]:
        """Yield the client first, then the resources in it."""
        sign_on = self._sign_on
        if sign_on is None:
            return
        info = self._harbor.info()
        url = str(info["external_url"]).rstrip("/")
        origin = urlsplit(url)
        id = Id(kinds.CLIENT, sign_on.client_id)
        fields = client_fields(
            self._marks.attributes(PLATFORM),
            redirect_uris=[f"{url}/c/oidc/callback"],
            post_logout_redirect_uris=[f"{url}/account/sign-in"],
            web_origins=[f"{origin.scheme}://{origin.netloc}"],
            public=False,
            pkce=self._harbor.version() >= PKCE_SINCE,
        )
        yield Resource(id, fields)
        claim = Id(kinds.CLAIM, f"{sign_on.client_id}/{sign_on.groups_claim}")
        yield Resource(claim, groups_mapper(sign_on.groups_claim), owner=id)
        scopes = dict.fromkeys(("basic", *sign_on.scopes), "default")
        scopes.pop("openid", None)
        if (
            "offline_access" in scopes
        ):  # as a default one it would make every session an offline one
            scopes["offline_access"] = "optional"
        scopes_id = Id(kinds.CLIENT_SCOPES, sign_on.client_id)
        yield Resource(scopes_id, scopes, owner=id)
        if id in observed.live:  # a new one has a new secret
            yield from self._secret.desired()

    def observe(self, seen: Observed) -> None:
        """Add the client, and the resources in it, to what was observed."""
        if self._sign_on is None:
            return
        name = self._sign_on.client_id
        found = named(self._client.rows("clients", clientId=name), name, key="clientId")
        if found is not None:
            fields = observed_fields(found)
            mark = mark_of(fields["attributes"])
            foreign = self._marks.foreign(mark, PLATFORM)
            ours = mark is not None and not foreign
            marked = ours and ADOPTED not in fields["attributes"]
            client = Id(kinds.CLIENT, name)
            seen.live[client] = Live(fields, ours, marked=marked, handle=found, foreign=foreign)
            self._secret.observe(found, seen)
            for mapper in found.get("protocolMappers") or ():
                if mapper["protocolMapper"] == _GROUPS_MAPPER:
                    claim = (mapper.get("config") or {}).get("claim.name")
                    id = Id(kinds.CLAIM, f"{name}/{claim}")
                    path = f"clients/{found['id']}/protocol-mappers/models/{mapper['id']}"
                    seen.live[id] = Live(mapper, ours, marked=marked, team=PLATFORM, handle=path)
            assigned = dict.fromkeys(found.get("defaultClientScopes") or (), "default")
            assigned |= dict.fromkeys(found.get("optionalClientScopes") or (), "optional")
            scopes = Id(kinds.CLIENT_SCOPES, name)
            seen.live[scopes] = Live(assigned, ours, handle=found["id"])
        known = {scope["name"] for scope in self._client.rows("client-scopes") or ()}
        missing = sorted({*self._sign_on.scopes} - known - {"openid"})
        if missing:
            seen.waiting[Id(kinds.CLIENT_SCOPES, name)] = (
                f"realm '{self._client.realm}' has no client scope {', '.join(missing)}"
            )

    def apply(self, change: Change) -> None:
        """Make one change."""
        match change.id.kind:
            case kinds.CLIENT:
                apply_client(self._client, change)
            case kinds.CLIENT_SECRET:
                self._secret.apply(change)
            case kinds.CLAIM:
                self._apply_claim(change)
            case kinds.CLIENT_SCOPES:
                self._apply_scopes(change)
            case _:
                raise unknown_kind(change)

    def _apply_claim(self, change: Change) -> None:
        client_id, claim = change.id.key.split("/", 1)
        if change.live is None:
            path = f"clients/{_number_of(self._client, client_id)}/protocol-mappers/models"
            self._client.post(path, {"name": f"groups as {claim}", **change.resource.fields})
        else:
            config = change.live.fields["config"] | change.resource.fields["config"]
            body = {**change.live.fields, **change.resource.fields, "config": config}
            self._client.put(change.live.handle, body)

    def _apply_scopes(self, change: Change) -> None:
        number = _number_of(self._client, change.id.key)
        path = f"clients/{number}"
        found: Representation = self._client.get(path) or {}
        ids = {scope["name"]: scope["id"] for scope in self._client.rows("client-scopes") or ()}
        lists = {"default": "defaultClientScopes", "optional": "optionalClientScopes"}
        for name, wanted in change.resource.fields.items():
            other = "optional" if wanted == "default" else "default"
            if name in (found.get(lists[other]) or ()):
                self._client.delete(f"{path}/{other}-client-scopes/{ids[name]}")
            if name not in (found.get(lists[wanted]) or ()):
                self._client.put(f"{path}/{wanted}-client-scopes/{ids[name]}")


def secret_of(client: KeycloakClient, client_id: str) -> str:
    """Return the secret of a client, which must never be shown.

    Raises:
        ChangedMeanwhile: the client does not exist, or has no secret.
    """
    path = f"clients/{_number_of(client, client_id)}/client-secret"
    found: Representation = client.get(path) or {}
    secret = found.get("value")
    if not isinstance(secret, str) or not secret:
        raise ChangedMeanwhile("keycloak", "GET …/client-secret", f"'{client_id}' has none")
    return secret


def _number_of(client: KeycloakClient, client_id: str) -> str:
    found = named(client.rows("clients", clientId=client_id), client_id, key="clientId")
    if found is None:
        call = f"GET /admin/realms/{client.realm}/clients"
        raise ChangedMeanwhile("keycloak", call, f"client '{client_id}' is gone")
    return str(found["id"])
