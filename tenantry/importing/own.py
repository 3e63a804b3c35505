"""Declares the platform's own resources: Harbor's settings and single sign-on, the realm, its
external identity providers, Gateways, and Harbor in the mesh.

As for teams, the planner judges each part: a part whose plan would change something is left out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from tenantry.calls import Clock
from tenantry.connections import Connections
from tenantry.declared import Declaration, Platform, Team
from tenantry.declared.adopt import SYSTEMS, AdoptBySystem, shortest
from tenantry.declared.faults import Place
from tenantry.declared.merge import merge
from tenantry.declared.rules import check_platform
from tenantry.declared.single_sign_on import SingleSignOn
from tenantry.errors import SystemRefused
from tenantry.importing.drafts import Draft
from tenantry.importing.mesh import gateways, harbor_in_mesh
from tenantry.importing.notes import Note, quoted
from tenantry.importing.oidc import BUILT_IN
from tenantry.importing.providers import connections
from tenantry.importing.realm import external_names
from tenantry.importing.settle import beyond_marks
from tenantry.importing.snapshot import Snapshot
from tenantry.plan import Change, Plan
from tenantry.systems.clients import Clients
from tenantry.systems.keycloak.clients import mark_of
from tenantry.systems.keycloak.realm import AS_IS, MINUTES, POLICIES
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners

Data = dict[str, Any]

_ROUNDS = 8
_USUAL: Data = {
    "audit_log_forward_endpoint": "",
    "banner_message": "",
    "disabled_audit_log_event_types": "",
    "notification_enable": True,
    "quota_per_project_enable": True,
    "robot_name_prefix": "robot$",
    "robot_token_duration": 30,
    "scanner_skip_update_pulltime": False,
    "self_registration": False,
    "session_timeout": 60,
    "skip_audit_log_database": False,
    "storage_per_project": -1,
    "token_expiration": 30,
    "primary_auth_mode": False,
    "project_creation_restriction": "everyone",
}
"""Harbor's settings that do not depend on the auth_mode, with the values of a new Harbor 2.15."""
_SIGN_ON = {
    "client_id": "oidc_client_id",
    "provider_name": "oidc_name",
    "groups_claim": "oidc_groups_claim",
    "user_claim": "oidc_user_claim",
    "auto_onboard": "oidc_auto_onboard",
    "admin_group": "oidc_admin_group",
    "group_filter": "oidc_group_filter",
    "logout": "oidc_logout",
    "verify_certificate": "oidc_verify_cert",
}
"""The fields of single sign-on, with Harbor's settings for them."""
_NAMED = 10
_BY_NAME = ("configuration", "groups", "external_providers", "gateways")
"""The sections whose members are left out one by one."""


class OwnResources:
    """The declaration of the platform's own resources, and the connections that plan them."""

    def __init__(
        self, addresses: Connections, clients: Clients, snapshot: Snapshot, clock: Clock
    ) -> None:
        self._connections = addresses
        self._clients = clients
        self._snapshot = snapshot
        self._clock = clock
        self.notes: list[Note] = []
        self._groups_of_teams: set[str] = set()
        self._clients_of_teams: set[str] = set()

    def declare(
        self, platform: Data, given: Data, teams: Sequence[Draft], declared: Sequence[Team] = ()
    ) -> Data:
        """Return `platform.yaml` with the platform's own resources.

        Args:
            platform: the settings that the teams' declarations depend on.
            given: the settings that the file gives already. They override those of the systems.
            teams: the imported teams, whose namespaces, groups and clients are not the platform's.
            declared: the teams that were declared before, likewise.
        """
        found_of = [each.found for each in teams]
        spaces = {name for team in found_of for name in (team.namespace, *team.further.values())}
        namespaces = {name for name in spaces if name}
        namespaces |= {name for team in declared for name in team.namespaces}
        self._groups_of_teams = {team.group for team in found_of if team.group}
        self._groups_of_teams |= {team.oidc_group for team in declared}
        self._clients_of_teams = {id for each in teams for id in each.clients}
        self._clients_of_teams |= {
            team.client_id(name) for team in declared for name in team.oidc_clients
        }
        own: Data = {"harbor": {}, "keycloak": {}, "mesh": {}}
        if sign_on := self._single_sign_on():
            own["harbor"]["single_sign_on"] = sign_on
        own["harbor"]["configuration"] = self._configuration(has_sign_on=bool(sign_on))
        own["keycloak"]["realm_settings"] = self._realm()
        providers = (platform.get("keycloak") or {}).get("external_providers") or {}
        own["keycloak"]["groups"] = dict(self._groups(providers))
        found = connections(self._clients, self._snapshot, providers)
        own["keycloak"]["external_providers"] = {
            alias: {"connection": data} for alias, data in self._kept(found)
        }
        self._note_others(platform, own)
        own["mesh"]["gateways"] = dict(self._kept(gateways(self._snapshot, namespaces)))
        own["mesh"] |= self._kept(harbor_in_mesh(self._clients, self._snapshot, namespaces))
        for _ in range(_ROUNDS):
            whole = merge(merge(platform, _filled(own)), given)
            plan = self._plan(whole, own)
            if plan is not None and not self._judge(plan, own):
                break
        whole = merge(merge(platform, _filled(own)), given)
        plan = self._plan(whole, own)
        if plan is not None:
            self._note_rest(plan)
            if "adopt" not in given and (adopt := self._adopt(whole)):
                whole = {**whole, "adopt": adopt}
        return whole

    def _kept(
        self, found: Iterable[tuple[str, Data | None, Note | None]]
    ) -> Iterator[tuple[str, Data]]:
        """Yield the parts with a declaration, and keep the notes about the others."""
        for name, data, note in found:
            if data is not None:
                yield name, data
            if note is not None:
                self.notes.append(note)

    # The live settings

    def _single_sign_on(self) -> Data | None:
        live = self._snapshot.settings
        client = live.get("oidc_client_id")
        why = ""
        if live.get("auth_mode") != "oidc_auth":
            why = f"its auth_mode is {quoted(live.get('auth_mode'))}"
        elif live.get("oidc_endpoint") != self._snapshot.issuer:
            why = f"it uses another issuer: {quoted(live.get('oidc_endpoint'))}"
        elif client not in self._snapshot.clients:
            why = f"its client {quoted(client)} is not in the realm"
        if why:
            text = f"Harbor's login stays as it is, and is not declared: {why}"
            self.notes.append(Note("not expressed", ("harbor",), text))
            return None
        data = {ours: live[theirs] for ours, theirs in _SIGN_ON.items() if theirs in live}
        data = {key: value for key, value in data.items() if value != ""}
        data["scopes"] = [each for each in str(live.get("oidc_scope") or "").split(",") if each]
        try:
            data["redirect_parameters"] = json.loads(live.get("oidc_extra_redirect_parms") or "{}")
            model = SingleSignOn.model_validate(data)
        except (ValueError, ValidationError):
            text = "Harbor's single sign-on cannot be declared, and stays as it is"
            self.notes.append(Note("not expressed", ("harbor",), text))
            return None
        client_id = {"client_id": model.client_id}
        return {**client_id, **model.model_dump(mode="json", exclude_defaults=True)}

    def _configuration(self, *, has_sign_on: bool) -> Data:
        live = self._snapshot.settings
        usual = {**_USUAL, **({"project_creation_restriction": "adminonly"} if has_sign_on else {})}
        return {
            name: live[name]
            for name, value in usual.items()
            if name in live and live[name] != value and live[name] is not None
        }

    def _realm(self) -> Data:
        live = self._snapshot.realm
        data: Data = {ours: live[theirs] for ours, theirs in AS_IS.items() if live.get(theirs)}
        if not data.get("brute_force_protection"):
            data.pop("login_failures", None)
        for ours, theirs in MINUTES.items():
            seconds = live.get(theirs)
            if isinstance(seconds, int) and seconds > 0 and seconds % 60 == 0:
                data[ours] = seconds // 60
            elif seconds:
                text = f"the realm's {theirs} of {seconds} seconds is not a number of minutes"
                place = ("keycloak", "realm_settings")
                self.notes.append(Note("not expressed", place, f"{text}, and stays as it is"))
        policy = self._user_policy()
        names = {theirs: ours for ours, theirs in POLICIES.items()}
        if policy in names and policy is not None:
            data["unmanaged_attributes"] = names[policy]
        return data

    def _user_policy(self) -> str | None:
        """Return the realm's policy for attributes that the user profile does not define."""
        try:
            profile: Data = self._clients.keycloak.get("users/profile") or {}
        except SystemRefused as error:
            if error.status != 403:
                raise
            text = f"the realm's user profile is not declared, since it cannot be read: {error}"
            self.notes.append(Note("not expressed", ("keycloak", "realm_settings"), text))
            return None
        return profile.get("unmanagedAttributePolicy")

    def _groups(self, providers: Data) -> Iterator[tuple[str, Data]]:
        """Yield the platform's groups: those with its mark, and Harbor's administrators.

        Args:
            providers: the declared providers, by alias.
        """
        admins = self._snapshot.settings.get("oidc_admin_group")
        for name, group in self._snapshot.groups.items():
            mark = mark_of(group.get("attributes"))
            if name == admins or (mark is not None and not mark.team):
                names = {
                    alias: found
                    for alias, provider in providers.items()
                    for mapper in self._snapshot.mappers.get(alias, ())
                    if mapper.get("name") == f"tenantry group {name}"
                    and (found := external_names(mapper, provider.get("groups_claim", "groups")))
                }
                yield name, {"external_groups": names} if names else {}

    def _note_others(self, platform: Data, own: Data) -> None:
        """Note the groups and clients of the realm that are not declared."""
        keycloak = platform.get("keycloak") or {}
        known = {*own["keycloak"]["groups"], keycloak.get("parent_group"), *self._groups_of_teams}
        groups = sorted(set(self._snapshot.groups) - known)
        sign_on = own["harbor"].get("single_sign_on") or {}
        clients = set(self._snapshot.clients) - self._clients_of_teams - BUILT_IN
        for what, names in (
            ("groups", groups),
            ("clients", sorted(clients - {sign_on.get("client_id")})),
        ):
            if names:
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                listed = ", ".join(map(quoted, names[:_NAMED]))
                text = (
                    f"{what} of the realm that belong to no team stay as they are: {listed}{more}"
                )
                self.notes.append(Note("not expressed", ("keycloak",), text))

    # The planner's judgement

    def _plan(self, whole: Data, own: Data) -> Plan | None:
        """Return the plan; None after a part that is not valid was left out."""
        try:
            platform = Platform.model_validate({**whole, "adopt": "yes"})
        except ValidationError as error:
            for detail in error.errors():
                self._remove(own, tuple(detail["loc"]), str(detail["msg"]))
            return None
        faults = list(check_platform(platform))
        if faults:
            for place, text in faults:
                self._remove(own, place, text)
            return None
        return self._planned(platform)

    def _planned(self, platform: Platform) -> Plan:
        state = Declaration(platform, {})
        with Systems(self._connections, state, clients=self._clients, clock=self._clock) as systems:
            return systems.plan_platform(
                observe_owners(systems.platform_adapters, [systems.state.platform])
            )

    def _judge(self, plan: Plan, own: Data) -> bool:
        """Leave out the parts whose plan changes something; return whether any were left out."""
        removed = False
        for change in plan.changes:
            if not change.writes_only_marks:
                place = change.id.kind.platform_place(change.id.key)
                fields = [each.field for each in beyond_marks(change)]
                if place == ("harbor", "configuration") and change.live is not None:
                    places: list[Place] = [(*place, field) for field in fields]
                else:
                    places = [place]
                for each in places:
                    removed |= self._remove(own, each, _why(change))
        for refusal in (*plan.refusals, *plan.waiting):
            place = refusal.id.kind.platform_place(refusal.id.key)
            removed |= self._remove(own, place, f"{refusal.id}: {refusal.reason}")
        return removed

    def _remove(self, own: Data, place: Place, why: str) -> bool:
        length = 3 if place[1:2] and place[1] in _BY_NAME else 2
        *before, last = place[:length]
        parent: Any = own
        for step in before:
            parent = (parent or {}).get(step)
        if not isinstance(parent, dict) or last not in parent or not place:
            return False
        value = parent.pop(last)
        text = f"{'.'.join(map(str, place[:length]))}: {json.dumps(value, sort_keys=True)}: {why}"
        self.notes.append(Note("not expressed", place[:2], text))
        return True

    def _adopt(self, whole: Data) -> Any:
        """Return the strictest `adopt`, by system, with which nothing is refused; None for none."""
        modes = dict.fromkeys(SYSTEMS, "if-identical")
        for _ in SYSTEMS:
            plan = self._planned(Platform.model_validate({**whole, "adopt": modes}))
            if not plan.refusals:
                break
            modes |= {refusal.id.system: "yes" for refusal in plan.refusals}
        needed = {change.id.system for change in plan.changes if change.action == "adopt"}
        found = {system: modes[system] for system in SYSTEMS if system in needed}
        return shortest(AdoptBySystem.model_validate(found)) if found else None

    def _note_rest(self, plan: Plan) -> None:
        for change in plan.changes:
            if not change.writes_only_marks:
                self.notes.append(Note("also planned", (), _why(change).replace("would", "will")))


def _why(change: Change) -> str:
    fields = ", ".join(each.field for each in beyond_marks(change))
    return f"the plan would {change.action} {change.id}" + (f" ({fields})" if fields else "")


def _filled(own: Data) -> Data:
    """Return the parts that are not empty."""
    parts = {
        name: {key: value for key, value in part.items() if value} for name, part in own.items()
    }
    return {name: part for name, part in parts.items() if part}
