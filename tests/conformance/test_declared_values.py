"""The table of declared values (tests/declared/cases.py), put to the systems themselves.

`tenantry validate` accepts a value if the system does, and refuses it if the system does; where it is
stricter, the table says why.
"""

from typing import Any

import pytest
from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakPostError
from kubernetes import client

from tenantry.declared import Namespace, Platform, Team
from tenantry.declared.harbor_project import HarborProject, ImmutableTags, Retention, RetentionRule
from tenantry.declared.harbor_values import ROBOT_PERMISSIONS
from tenantry.declared.namespace import ContainerLimits, Network
from tenantry.marks import Marks
from tenantry.systems.harbor.tags import retention_body, selectors
from tenantry.systems.istio import routes
from tenantry.systems.istio.kinds import HTTP_ROUTE, VIRTUAL_SERVICE
from tenantry.systems.keycloak.clients import client_fields
from tenantry.systems.kubernetes import namespaces, objects
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.kinds import ROLE_BINDING
from tests.conformance.harbor import HarborCaller
from tests.declared.cases import HARBOR, KEYCLOAK
from tests.declared.kubernetes_cases import KUBERNETES
from tests.declared.making import Case

on_kubernetes = pytest.mark.confirmed("kubernetes 1.37.2")
on_keycloak = pytest.mark.confirmed("keycloak 26.7.3")
on_harbor = pytest.mark.facts


def cases(found: list[Case], *kinds: str) -> Any:
    wanted = [case for case in found if case.kind in kinds]
    return pytest.mark.parametrize("case", wanted, ids=lambda case: case.id)


def agrees(case: Case, refused: str | None) -> None:
    """Holds the table to what the system answered: what it refused with, or nothing."""
    is_legal = bool(case.stricter) or not (case.fault or case.warning)
    assert is_legal == (refused is None), refused or "it was accepted"


# Kubernetes


class ApiServer:
    """A namespace of an API server, to which objects are applied without being kept."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api: Any = api
        self._namespace = namespace

    def refuses(self, manifest: dict[str, Any]) -> str | None:
        """Why the server refuses an object; None if it accepts it."""
        kind = KINDS[manifest["kind"]]
        group, _, version = kind.api_version.rpartition("/")
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        inside = "" if manifest["kind"] == "Namespace" else f"/namespaces/{self._namespace}"
        name = manifest["metadata"]["name"]
        asked = self._api.param_serialize(
            "PATCH",
            f"{root}{inside}/{kind.plural}/{name}",
            query_params=[("dryRun", "All"), ("fieldManager", "tests"), ("force", "true")],
            header_params={"Content-Type": "application/apply-patch+yaml"},
            body=manifest,
            auth_settings=["BearerToken"],
        )
        answer = self._api.call_api(*asked)
        answer.read()
        return None if answer.status in (200, 201) else answer.data.decode()

    def refuses_any(self, case: Case) -> str | None:
        """Why the server refuses one of the objects that a case comes to."""
        for manifest in _objects(case, self._namespace):
            if (reason := self.refuses(manifest)) is not None:
                return reason
        return None


ROUTES = {kind.name: kind for kind in (HTTP_ROUTE, VIRTUAL_SERVICE)}
MARKS = Marks("tests", "Tests", lambda: "unread")


def _objects(case: Case, namespace: str) -> list[dict[str, Any]]:
    """The objects of a team's file that is not validated."""
    team = Team.model_construct(name="shop")
    found = []
    for name, route in case.content.get("routes", {}).items():
        kind = route.get("kind", "VirtualService")
        rules = [
            routes.Rule(
                (path.get("prefix", "/"),), routes.Backend(path["service"], "x", path["port"])
            )
            for path in route["paths"]
        ]
        spec = routes.spec(kind, route["host"], "istio-ingress/public", rules)
        found.append(
            objects.resource(ROUTES[kind], name, team, {"spec": spec}, MARKS, namespace=namespace)
        )
    if "namespace" in case.content:
        declared = _namespace(case.content["namespace"])
        found.append(namespaces.namespace(MARKS, team, namespace, declared, {}))
        found += namespaces.contents(MARKS, Platform(), team, namespace, declared)
    # Their role is another team's business here.
    return [objects.manifest(each) for each in found if each.id.kind != ROLE_BINDING]


def _namespace(content: dict[str, Any]) -> Namespace:
    parts = dict(content)
    if "quota" in parts:
        parts["quota"] = _texts(parts["quota"])
    if "labels" in parts:
        parts["labels"] = _texts(parts["labels"])
    if "limits" in parts:
        amounts = {key: _texts(each) for key, each in parts["limits"].items()}
        parts["limits"] = ContainerLimits.model_construct(None, **amounts)
    if "network" in parts:
        parts["network"] = Network.model_construct(**parts["network"])
    return Namespace.model_construct(**parts)


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


@pytest.fixture
def server(api: client.ApiClient, team: str) -> ApiServer:
    return ApiServer(api, team)


@on_kubernetes
@cases(KUBERNETES, "quota")
def test_a_quota(case: Case, server: ApiServer) -> None:
    agrees(case, server.refuses_any(case))


@on_kubernetes
@cases(KUBERNETES, "limits")
def test_limits(case: Case, server: ApiServer) -> None:
    agrees(case, server.refuses_any(case))


@on_kubernetes
@cases(KUBERNETES, "policy")
def test_a_network_policy(case: Case, server: ApiServer) -> None:
    [spec] = case.content["namespace"]["network"]["policies"].values()
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p"},
        "spec": spec,
    }
    agrees(case, server.refuses(manifest))


@on_kubernetes
@cases(KUBERNETES, "label")
def test_a_label(case: Case, server: ApiServer) -> None:
    agrees(case, server.refuses_any(case))


@on_kubernetes
@cases(KUBERNETES, "route", "service")
def test_a_route(case: Case, server: ApiServer) -> None:
    agrees(case, server.refuses_any(case))


# Keycloak


@on_keycloak
@cases(KEYCLOAK, "redirect", "logout", "origin")
def test_an_address_of_a_client(case: Case, admin: KeycloakAdmin) -> None:
    [declared] = case.content["oidc_clients"].values()
    fields = client_fields(
        {},
        redirect_uris=declared["redirect_uris"],
        post_logout_redirect_uris=declared.get("post_logout_redirect_uris", []),
        web_origins=declared.get("web_origins", []),
        public=False,
        pkce=True,
    )
    refused = None
    try:
        admin.create_client({"clientId": "web", **fields})
    except KeycloakPostError as error:
        refused = str(error)
    agrees(case, refused)


# Harbor


@pytest.fixture
def number(caller: HarborCaller, project: str) -> int:
    """The id of a new project."""
    found: int = caller.json(f"/projects/{project}")["project_id"]
    return found


@on_harbor
@cases(HARBOR, "schedule", "retention")
def test_a_retention_policy(case: Case, caller: HarborCaller, number: int) -> None:
    declared = case.content["harbor"]["retention"]
    rules = [RetentionRule.model_construct(**rule) for rule in declared["rules"]]
    retention = Retention.model_construct(rules=rules, schedule=declared.get("schedule"))
    answer = caller("POST", "/retentions", json=retention_body(retention, number))
    agrees(case, None if answer.status_code == 201 else answer.text)


@on_harbor
@cases(HARBOR, "immutable")
def test_immutable_tags(case: Case, caller: HarborCaller, number: int) -> None:
    declared = HarborProject.model_construct(
        immutable_tags=[
            ImmutableTags.model_construct(**rule)
            for rule in case.content["harbor"]["immutable_tags"]
        ]
    )
    refused = None
    for rule in declared.immutable_tags:
        body = {
            "action": "immutable",
            "template": "immutable_template",
            **selectors(rule.repositories, rule.tags),
        }
        answer = caller("POST", f"/projects/{number}/immutabletagrules", json=body)
        refused = refused or (None if answer.status_code == 201 else answer.text)
    agrees(case, refused)


@on_harbor
@cases(HARBOR, "access")
def test_a_permission_of_a_robot(case: Case, caller: HarborCaller, project: str) -> None:
    [declared] = case.content["robots"].values()
    access = [
        {"resource": resource, "action": action}
        for resource, _, action in (each.partition(":") for each in declared["access"])
    ]
    body = {
        "name": "ci",
        "level": "project",
        "duration": 30,
        "permissions": [{"kind": "project", "namespace": project, "access": access}],
    }
    answer = caller("POST", "/robots", json=body)
    agrees(case, None if answer.status_code == 201 else answer.text)


@on_harbor
def test_the_permissions_that_harbor_grants_are_the_ones_that_are_known(
    caller: HarborCaller,
) -> None:
    told: dict[str, set[str]] = {}
    for each in caller.json("/permissions")["project"]:
        told.setdefault(each["resource"], set()).add(each["action"])
    assert told == {name: set(actions) for name, actions in ROBOT_PERMISSIONS.items()}
