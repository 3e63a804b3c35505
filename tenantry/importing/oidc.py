"""Recognizes the OIDC clients of the teams, and the Secrets that hold their credentials.

A client is a team's by Tenantry's mark or by the platform's pattern of ids. Any other client is
declared, with an explicit name, only if facts that no tenant can set prove it: administrators choose
the ids and the redirect URIs of clients, and a Secret proves that its namespace uses a client only if
it holds the client's current secret. Everything else is a suggestion.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tenantry.declared.names import NamePatterns, fill, matches
from tenantry.declared.policy_names import LOOPBACK, parse_address
from tenantry.importing.notes import Note, quoted
from tenantry.importing.recognition import Found, is_short_name
from tenantry.importing.snapshot import Snapshot
from tenantry.marks import KEY
from tenantry.systems.keycloak.client import Representation
from tenantry.systems.keycloak.clients import mark_of

BUILT_IN = frozenset(
    (
        *("account", "account-console", "admin-cli"),
        *("broker", "realm-management", "security-admin-console"),
    )
)
"""The clients that Keycloak creates in each realm."""

_SEPARATORS = "-._:@"
_SHORTEST = 16
"""The length from which a text in a Secret can prove that the Secret holds a client's secret."""
_SHOWN = 5


@dataclass
class TeamClient:
    """An OIDC client that a team declares.

    Attributes:
        key: its name in the team's file.
        id: its id in Keycloak.
        secrets: the names of the Secrets that hold its credentials, as Tenantry writes them.
    """

    key: str
    id: str
    secrets: list[str] = field(default_factory=list)


@dataclass
class TeamClients:
    """The OIDC clients of a team, and what there is to say about others."""

    clients: list[TeamClient] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class OidcClients:
    """The OIDC clients of all teams.

    Args:
        snapshot: what was read.
        teams: the teams, by name.
        names: the platform's patterns of names.
        known: the patterns by which teams are recognized.
        platform: the id of the platform in the marks.
        chooses_names: whether the import chooses the pattern of ids.

    Attributes:
        names: the patterns, with the pattern of ids that most clients follow.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        teams: Mapping[str, Found],
        names: NamePatterns,
        known: Iterable[str],
        platform: str | None,
        *,
        chooses_names: bool,
    ) -> None:
        self._snapshot = snapshot
        self._teams = teams
        self._platforms = (None, platform, snapshot.cluster)
        own = str(dict.get(dict(snapshot.settings), "oidc_client_id") or "harbor")
        self._open = {
            id: found
            for id, found in sorted(snapshot.clients.items())
            if id not in BUILT_IN and id != own and id != f"{snapshot.realm.get('realm')}-realm"
        }
        self._holders = self._find_holders()
        self._patterns = list(_candidates([names.namespace, names.group, *known]))
        self.names = names
        if chooses_names and (pattern := self._usual_pattern(names.client)):
            self.names = names.model_copy(update={"client": pattern})
        self._found: dict[str, TeamClients] = defaultdict(TeamClients)
        self._owners: dict[str, str] = {}
        self._add_marked()
        self._add_by_pattern()
        self._add_proven()

    def of(self, team: str) -> TeamClients:
        """Return the clients of a team."""
        return self._found[team]

    def namespaces_to_read(self) -> Iterator[str]:
        """Yield the namespaces whose Secrets can show which team a client belongs to, or its Secret."""
        is_open = any(id not in self._owners and not self._is_foreign(id) for id in self._open)
        for team in self._teams.values():
            present = self._snapshot.secrets.get(team.namespace or "", {})
            usual = {
                fill(self.names.client_secret, name=client.key)
                for client in self._found[team.name].clients
            }
            if is_open:
                yield from (team.namespace or "", *team.further.values())
            elif not usual <= present.keys():
                yield team.namespace or ""

    def secret_pattern(self) -> str | None:
        """Return the pattern of the names of most clients' Secrets; None if most follow none."""
        pairs = [
            (client.key, client.secrets[0])
            for each in self._found.values()
            for client in each.clients
            if len(client.secrets) == 1
        ]
        fitting = Counter(
            name.replace(key, "{name}") for key, name in pairs if name.count(key) == 1
        )
        best = fitting.most_common(1)
        return best[0][0] if best and 2 * best[0][1] > len(pairs) else None

    # Facts

    def _find_holders(self) -> dict[str, set[str]]:
        """Return the teams in whose namespaces a Secret holds the current secret of a client."""
        secrets = {
            str(client["secret"]): id
            for id, client in self._open.items()
            if len(str(client.get("secret") or "")) >= _SHORTEST
        }
        found: dict[str, set[str]] = defaultdict(set)
        for team in self._teams.values():
            for namespace in (team.namespace, *team.further.values()):
                for data in self._snapshot.opaque.get(namespace or "", {}).values():
                    for value in data.values():
                        if (id := secrets.get(value)) is not None:
                            found[id].add(team.name)
        return found

    def _secrets(self, team: Found, id: str) -> list[str]:
        """Return the names of the Secrets that hold a client's credentials as Tenantry writes them."""
        client = self._snapshot.clients[id]
        secret = None if client.get("publicClient") else client.get("secret")
        inside = self._snapshot.opaque.get(team.namespace or "", {})
        return sorted(
            name
            for name, data in inside.items()
            if data.get("client_id") == id and data.get("client_secret") == secret
        )

    def _holder(self, id: str) -> str | None:
        """Return the only team that holds the current secret of a client."""
        teams = self._holders.get(id, set())
        return next(iter(teams)) if len(teams) == 1 else None

    def _marked_for(self, client: Representation) -> str | None:
        mark = mark_of(client.get("attributes"))
        is_own = mark is not None and mark.platform in self._platforms
        return mark.team if is_own and mark is not None and mark.team in self._teams else None

    def _usual_pattern(self, usual: str) -> str | None:
        """Return the pattern that most of the clients follow whose team is certain.

        Ids alone do not choose a pattern: by chance, one such as `{team}-{name}` fits many ids.
        """
        certain = {
            id: team
            for id, client in self._open.items()
            if (team := self._marked_for(client) or self._holder(id))
        }
        fitting = Counter(
            pattern
            for id, team in certain.items()
            for pattern in (usual, *self._patterns)
            if any(_is_of(read, team) for read in matches(pattern, id))
        )
        best = max(fitting, key=lambda each: (fitting[each], each == usual), default=usual)
        return best if best != usual and 2 * fitting[best] > len(certain) else None

    # Owners

    def _add(self, team: str, key: str, id: str) -> None:
        known = {client.key for client in self._found[team].clients}
        key = key or self._key_by_secret(team, id)
        key = key if is_short_name(key) and key not in known else _slug(id, known)
        secrets = self._secrets(self._teams[team], id)
        self._found[team].clients.append(TeamClient(key, id, secrets))
        self._owners[id] = team

    def _add_marked(self) -> None:
        for id, client in self._open.items():
            if (team := self._marked_for(client)) is not None:
                key = str((client.get("attributes") or {}).get(KEY) or "")
                self._add(team, key or self._key(self.names.client, id, team), id)

    def _add_by_pattern(self) -> None:
        for id in self._open:
            reads = [read for read in matches(self.names.client, id) if read["team"] in self._teams]
            read = max(reads, key=lambda each: len(each["team"]), default=None)
            if id not in self._owners and read is not None and not self._is_foreign(id):
                self._add(read["team"], read["name"], id)

    def _is_foreign(self, id: str) -> bool:
        """Return whether a client carries the mark of another owner than an imported team."""
        return mark_of(self._snapshot.clients[id].get("attributes")) is not None

    def _add_proven(self) -> None:
        """Add the clients that facts assign to a team, and suggest those that may be a team's."""
        hosts = _owners(
            (team, host)
            for id, team in self._owners.items()
            for host in _hosts(self._snapshot.clients[id]) or ()
        )
        routes = _owners(self._route_hosts())
        for id, client in self._open.items():
            if id in self._owners or self._is_foreign(id):
                continue
            targets = _hosts(client)
            by_hosts, by_routes = _only_owner(targets, hosts), _only_owner(targets, routes)
            by_id, key = self._by_other_pattern(id)
            holder, others = self._holder(id), self._holders.get(id, set()) - {by_hosts}
            if (
                by_hosts
                and not others
                and by_hosts in (holder, by_id, _named_in(targets, by_hosts))
            ):
                self._add(by_hosts, key if by_id == by_hosts else "", id)
            elif holder and holder in (by_id, by_routes):
                self._add(holder, key if by_id == holder else "", id)
            else:
                self._suggest(
                    id,
                    client,
                    [
                        (by_id, "its id"),
                        (by_routes, "the hosts of its routes"),
                        (by_hosts, "its hosts"),
                    ],
                )

    def _suggest(
        self, id: str, client: Representation, facts: Iterable[tuple[str | None, str]]
    ) -> None:
        """Suggest a client to each team that one fact alone names."""
        why: dict[str, list[str]] = defaultdict(list)
        for team, fact in (*facts, *((t, "a Secret with its secret") for t in self._holders[id])):
            if team is not None:
                why[team].append(fact)
        for team, found in sorted(why.items()):
            key = _slug(id, {each.key for each in self._found[team].clients})
            uris = [quoted(uri) for uri in (client.get("redirectUris") or ())[:_SHOWN]]
            text = (
                f"client {quoted(id)} may belong to this team, by {' and '.join(found)}. Nothing else "
                f"proves it. If it does, declare oidc_clients.{key} with redirect_uris: "
                f"[{', '.join(uris)}], and names: {{clients: {{{key}: {quoted(id)}}}}}"
            )
            self._found[team].notes.append(Note("suggestion", ("oidc_clients",), text))

    def _by_other_pattern(self, id: str) -> tuple[str | None, str]:
        """Return the team that an id names by another pattern than the platform's, and the key."""
        reads = [
            (read["team"], read["name"])
            for pattern in self._patterns
            for read in matches(pattern, id)
            if read["team"] in self._teams
        ]
        return max(reads, key=lambda read: len(read[0]), default=(None, ""))

    def _key(self, pattern: str, id: str, team: str) -> str:
        return next((read["name"] for read in matches(pattern, id) if read["team"] == team), "")

    def _key_by_secret(self, team: str, id: str) -> str:
        names = self._secrets(self._teams[team], id)
        reads = (read for name in names for read in matches(self.names.client_secret, name))
        return next((read["name"] for read in reads), "")

    def _route_hosts(self) -> Iterator[tuple[str, str]]:
        """Yield the hosts of the routes in the teams' namespaces. Members can write them."""
        for team in self._teams.values():
            for namespace in (team.namespace or "", *team.further.values()):
                for kind, name in (("VirtualService", "hosts"), ("HTTPRoute", "hostnames")):
                    for found in self._snapshot.of(kind, namespace):
                        for host in (found.get("spec") or {}).get(name) or ():
                            yield team.name, str(host)


def _candidates(known: Iterable[str]) -> Iterator[str]:
    """Yield patterns of ids that people use."""
    for pattern in dict.fromkeys((*known, "{team}")):
        if pattern.count("{team}") == 1 and "/" not in pattern and " " not in pattern:
            for separator in _SEPARATORS:
                yield f"{pattern}{separator}{{name}}"
                yield f"{{name}}{separator}{pattern}"


def _is_of(read: Mapping[str, str], team: str) -> bool:
    return read["team"] == team and is_short_name(read["name"])


def _hosts(client: Representation) -> set[str] | None:
    """Return the hosts of a client's redirect URIs; None if one of them has no certain host."""
    addresses = [parse_address(str(uri)) for uri in client.get("redirectUris") or ()]
    if any(each.host is None or each.fault for each in addresses):
        return None
    return {each.host for each in addresses if each.host and each.host not in LOOPBACK} or None


def _owners(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for team, host in pairs:
        found[host].add(team)
    return found


def _only_owner(hosts: Collection[str] | None, owners: Mapping[str, set[str]]) -> str | None:
    """Return the only team that has all these hosts, and shares none of them."""
    teams = [owners.get(host, set()) for host in hosts or ()]
    same = set.intersection(*teams) if teams else set()
    return next(iter(same)) if len(same) == 1 and set.union(*teams) == same else None


def _named_in(hosts: Collection[str] | None, team: str) -> str | None:
    """Return the team, if its name is a part of each host, such as `shop` of `web.shop.example.com`."""
    is_named = bool(hosts) and all(team in host.split(".") for host in hosts or ())
    return team if is_named else None


def _slug(id: str, known: Collection[str]) -> str:
    """Return a key for a client without a conventional id, which no other client of the team has."""
    text = re.sub(r"[^a-z0-9]+", "-", id.lower()).strip("-")[:36].strip("-") or "client"
    key = next(
        each for each in (text, *(f"{text}-{n}" for n in range(2, 999))) if each not in known
    )
    return key if is_short_name(key) else f"client-{len(known) + 1}"
