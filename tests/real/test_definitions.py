"""The limits that validation has in common with the published CRDs of the Gateway API."""

from typing import Any

import pytest

from tenantry.declared import mesh_rules
from tests.real.servers import apiserver

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def definitions() -> dict[str, Any]:
    """Return the schemas of the kinds of the Gateway API, as installed in a cluster."""
    _, found = apiserver.prepare()
    return {
        each["spec"]["names"]["kind"]: version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for each in found
        if each["spec"]["group"] == "gateway.networking.k8s.io"
        for version in each["spec"]["versions"]
        if version["storage"]
    }


def test_the_limits_are_those_of_the_published_definitions(definitions: dict[str, Any]) -> None:
    rules = definitions["HTTPRoute"]["properties"]["rules"]
    path = rules["items"]["properties"]["matches"]["items"]["properties"]["path"]
    listeners = definitions["Gateway"]["properties"]["listeners"]

    assert rules["maxItems"] == mesh_rules.HTTP_ROUTE_RULES
    assert path["properties"]["value"]["maxLength"] == mesh_rules.HTTP_ROUTE_PATH
    assert listeners["maxItems"] == mesh_rules.GATEWAY_LISTENERS


def test_the_rules_of_a_path_are_those_of_the_published_definition(
    definitions: dict[str, Any],
) -> None:
    rules = definitions["HTTPRoute"]["properties"]["rules"]
    path = rules["items"]["properties"]["matches"]["items"]["properties"]["path"]
    [characters] = [
        rule["rule"] for rule in path["x-kubernetes-validations"] if "matches(" in rule["rule"]
    ]
    # The regular expression of the CEL rule is identical to ours.
    assert mesh_rules.CHARACTERS.pattern.replace("%", "[%]") in characters
    messages = " ".join(rule["message"] for rule in path["x-kubernetes-validations"])
    for part in (*mesh_rules.FORBIDDEN, *mesh_rules.FORBIDDEN_ENDS):
        assert f"'{part}'" in messages
