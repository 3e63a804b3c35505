"""What a Kubernetes API server can't read or won't take, in its own words."""

import base64
import json
from typing import Any

import pytest
from kubernetes import client

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

pytestmark = [
    pytest.mark.confirmed("kubernetes 1.37.2"),
    pytest.mark.demand("real", "Kubernetes: refusals"),
]


class Server:
    """The API server, asked without the client's own checks; what it answers is code and body."""

    def __init__(self, api: client.ApiClient, team: str) -> None:
        self._api = api
        self.here = f"/api/v1/namespaces/{team}"
        self.team = team

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        **query: Any,
    ) -> tuple[int, dict[str, Any]]:
        api: Any = self._api
        asked = api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Content-Type": kind, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = api.call_api(*asked)
        answer.read()
        return answer.status, json.loads(answer.data)

    def refuses(self, code: int, said: str, *asked: Any, **query: Any) -> dict[str, Any]:
        """The Status that refuses a request with this code, in a message that starts so."""
        found, body = self(*asked, **query)
        assert (found, body["kind"], body["code"]) == (code, "Status", code), body
        assert body["message"].startswith(said), body["message"]
        return body

    def apply(self, plural: str, name: str, body: dict[str, Any], **query: Any) -> Any:
        """The answer to a server-side apply of something in the namespace."""
        query = {"fieldManager": "tenantry", **query}
        return self("PATCH", f"{self.here}/{plural}/{name}", body, APPLY, **query)


@pytest.fixture
def server(api: client.ApiClient, team: str) -> Server:
    return Server(api, team)


def config_map(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **fields}


# Options of requests


@pytest.mark.demand("real", "Kubernetes: dry run")
def test_a_dry_run_is_of_all_or_of_nothing(server: Server) -> None:
    said = 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["some"]'
    path = f"{server.here}/configmaps"
    body = server.refuses(422, said, "POST", path, config_map(), dryRun="some")
    [cause] = body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldValueNotSupported", "dryRun")


def test_a_managers_name_has_a_length(server: Server) -> None:
    said = 'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long'
    path = f"{server.here}/configmaps"
    server.refuses(422, said, "POST", path, config_map(), fieldManager="m" * 129)


def test_only_an_apply_can_be_forced(server: Server) -> None:
    server("POST", f"{server.here}/configmaps", config_map())
    said = 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden'
    path = f"{server.here}/configmaps/c"
    server.refuses(422, said, "PATCH", path, {"data": {}}, MERGE, force="true")


# Selectors


@pytest.mark.demand("real", "Kubernetes: label selectors")
@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("a=1,", "found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in 1", "unable to parse requirement: found '1' expected: '('"),
        ("=1", "found '=', expected: !, identifier, or 'end of string'"),
        ("a/b/c=1", 'unable to parse requirement: <nil>: Invalid value: "a/b/c": a valid label'),
        ("a=b_", 'unable to parse requirement: values[0][a]: Invalid value: "b_": a valid label'),
        ("a>b", "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt'"),
    ],
)
def test_a_selector_by_labels_that_nobody_can_read(
    server: Server, selector: str, said: str
) -> None:
    path = f"{server.here}/configmaps"
    assert server.refuses(400, said, "GET", path, labelSelector=selector)["reason"] == "BadRequest"


@pytest.mark.demand("real", "Kubernetes: label selectors")
def test_labels_are_compared_as_numbers_too(server: Server) -> None:
    for name in ("1", "5", "x"):
        labels = {"metadata": {"name": f"c{name}", "labels": {"n": name}}}
        server("POST", f"{server.here}/configmaps", config_map() | labels)
    _, found = server("GET", f"{server.here}/configmaps", labelSelector="n>1")
    assert [each["metadata"]["name"] for each in found["items"]] == ["c5"]


@pytest.mark.demand("real", "Kubernetes: label selectors")
@pytest.mark.parametrize(
    ("plural", "selector", "said"),
    [
        ("configmaps", "data.a=1", '"data.a" is not a known field selector: only "metadata.name"'),
        ("secrets", "data.a=1", "field label not supported: data.a"),
        ("secrets", "type", "invalid selector: 'type'; can't understand 'type'"),
    ],
)
def test_which_fields_can_be_asked_for_depends_on_the_kind(
    server: Server, plural: str, selector: str, said: str
) -> None:
    server.refuses(400, said, "GET", f"{server.here}/{plural}", fieldSelector=selector)


# Lists in chunks


def encoded(**fields: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


@pytest.mark.demand("real", "Kubernetes: chunked lists")
@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("!", "illegal base64 data at input byte 0"),
        ("eA", "invalid character 'x' looking for beginning of value"),
        (encoded(v="nonsense"), "server does not recognize this encoded version nonsense"),
        (encoded(v="meta.k8s.io/v1"), "incorrect encoded start resourceVersion"),
        (encoded(v="meta.k8s.io/v1", rv=1), "encoded start key empty"),
    ],
)
def test_a_list_goes_on_by_the_servers_own_token_only(server: Server, token: str, why: str) -> None:
    path = f"{server.here}/configmaps"
    said = f"invalid continue token: continue key is not valid: {why}"
    server.refuses(400, said, "GET", path, limit=1, **{"continue": token})


def test_numbers_of_lists_have_to_be_numbers(server: Server) -> None:
    path = f"{server.here}/configmaps"
    said = 'strconv.ParseInt: parsing "x": invalid syntax'
    server.refuses(400, said, "GET", path, limit="x")
    said = 'invalid resource version: resourceVersion: Invalid value: "x"'
    server.refuses(400, said, "GET", path, resourceVersion="x")
    for name in ("c1", "c2"):
        server("POST", path, config_map(name))
    _, first = server("GET", path, limit=1)
    said = "specifying resource version is not allowed when using continue"
    more = {"continue": first["metadata"]["continue"], "resourceVersion": "5"}
    server.refuses(400, said, "GET", path, limit=1, **more)


# Objects of another kind


def test_what_is_applied_says_what_it_is(server: Server) -> None:
    answers = [
        server.apply("configmaps", "c", config_map() | {"kind": "Secret"}),
        server.apply("configmaps", "c", {"metadata": {"name": "c"}}),
    ]
    assert [code for code, _ in answers] == [400, 400]
    assert answers[0][1]["message"] == "invalid object type: /v1, Kind=Secret"
    assert answers[1][1]["message"].startswith("invalid object type: /, Kind=")


def test_what_is_created_is_of_the_paths_kind(server: Server) -> None:
    path = f"{server.here}/configmaps"
    said = (
        'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to '
        "(core.ConfigMap): unknown conversion"
    )
    server.refuses(400, said, "POST", path, config_map() | {"kind": "Secret"})
    routes = f"/apis/networking.istio.io/v1/namespaces/{server.team}/virtualservices"
    said = "the object provided is unrecognized (must be of type VirtualService): Object 'Kind'"
    server.refuses(400, said, "POST", routes, {"metadata": {"name": "r"}})


def test_a_resource_that_a_group_lacks(server: Server) -> None:
    said = "the server could not find the requested resource"
    server.refuses(404, said, "GET", f"{server.here}/nonsense")


def test_an_update_means_one_object(server: Server) -> None:
    path = f"{server.here}/configmaps"
    server("POST", path, config_map())
    metadata = {"name": "c", "uid": "another"}
    said = 'Operation cannot be fulfilled on configmaps "c": StorageError: invalid object, Code: 4'
    server.refuses(409, said, "PUT", f"{path}/c", config_map(metadata=metadata))


# Values


def test_nothing_where_a_text_should_be_is_an_empty_text(server: Server) -> None:
    code, made = server("POST", f"{server.here}/configmaps", config_map(data={"a": None}))
    assert (code, made["data"]) == (201, {"a": ""})


def test_a_number_where_a_text_should_be(server: Server) -> None:
    path = f"{server.here}/configmaps"
    said = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal num'
    server.refuses(400, said, "POST", path, config_map(data={"a": 1}))
    code, body = server.apply("configmaps", "c", config_map(data={"a": 1}))
    assert code == 500
    said = "failed to create typed patch object"
    assert body["message"].startswith(said)
    assert ".data.a: expected string, got &value.valueUnstructured{Value:1}" in body["message"]


def test_nothing_where_a_custom_resource_wants_something(server: Server) -> None:
    path = f"/apis/networking.istio.io/v1/namespaces/{server.team}/virtualservices/r"
    body = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "r"},
        "spec": {"hosts": None},
    }
    said = 'VirtualService.networking.istio.io "r" is invalid: [spec.hosts: Invalid value: "null"'
    server.refuses(422, said, "PATCH", path, body, APPLY, fieldManager="tenantry")


@pytest.mark.parametrize(
    ("plural", "fields", "said"),
    [
        (
            "configmaps",
            {"data": {"a b": ""}},
            'data[a b]: Invalid value: "a b": a valid config key',
        ),
        (
            "configmaps",
            {"metadata": {"name": "x", "labels": {"a/b/c": ""}}},
            'metadata.labels: Invalid value: "a/b/c": a valid label key',
        ),
        (
            "configmaps",
            {"metadata": {"name": "x", "labels": {"/b": ""}}},
            'metadata.labels: Invalid value: "/b": prefix part must be non-empty',
        ),
        (
            "configmaps",
            {"metadata": {"name": "x", "labels": {"b": "x" * 64}}},
            f'metadata.labels: Invalid value: "{"x" * 64}": must be no more than 63 bytes',
        ),
        (
            "resourcequotas",
            {"spec": {"hard": {"nonsense": "1"}}},
            '[spec.hard[nonsense]: Invalid value: "nonsense": must be a standard resource type',
        ),
        (
            "limitranges",
            {"spec": {"limits": [{"type": "Container", "max": {"cpu": 1}, "min": {"cpu": 2}}]}},
            '[spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than',
        ),
    ],
)
def test_invalid_values(server: Server, plural: str, fields: dict, said: str) -> None:
    named: dict[str, Any] = {"metadata": {"name": "x"}, **fields}
    _, body = server("POST", f"{server.here}/{plural}", named)
    assert (body["code"], body["reason"]) == (422, "Invalid")
    assert said.lstrip("[") in body["message"]


@pytest.mark.parametrize(
    ("group", "plural", "fields", "field"),
    [
        ("networking.k8s.io", "networkpolicies", {"spec": {"policyTypes": ["In"]}}, "policyTypes"),
        (
            "rbac.authorization.k8s.io",
            "rolebindings",
            {
                "roleRef": {"kind": "ClusterRole", "name": "edit"},
                "subjects": [{"kind": "Robot", "name": "x"}],
            },
            "subjects[0].kind",
        ),
    ],
)
def test_values_out_of_a_few(
    server: Server, group: str, plural: str, fields: dict, field: str
) -> None:
    path = f"/apis/{group}/v1/namespaces/{server.team}/{plural}"
    _, body = server("POST", path, {"metadata": {"name": "x"}, **fields})
    causes = [each for each in body["details"]["causes"] if field in each["field"]]
    assert (body["code"], causes[0]["reason"]) == (422, "FieldValueNotSupported")


# Who owns what


@pytest.mark.demand("real", "Kubernetes: ownership of fields and 409")
def test_a_plain_write_owns_the_maps_that_it_makes(server: Server) -> None:
    labels = {"metadata": {"name": "c", "labels": {"x": "y"}}}
    path = f"{server.here}/configmaps"
    _, made = server("POST", path, config_map(data={"a": "1"}) | labels, fieldManager="someone")
    [entry] = made["metadata"]["managedFields"]
    fields = {"f:data": {".": {}, "f:a": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}}
    assert (entry["manager"], entry["operation"]) == ("someone", "Update")
    assert entry["fieldsV1"] == fields
