"""What Tenantry defines itself, so as not to load the Kubernetes client, equals the client's."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes.client.models.v1_network_policy_spec import V1NetworkPolicySpec
from kubernetes.utils.quantity import parse_quantity

from tenantry.declared.network_policy_fields import NetworkPolicyFields
from tenantry.declared.types import quantity

_TEXTS = ("description", "title")


def shape(schema: dict[str, Any], node: Any) -> Any:
    """Return a part of a JSON Schema with its references resolved, and without texts."""
    if isinstance(node, list):
        return [shape(schema, each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return shape(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    if "properties" in node:
        properties = {key: shape(schema, each) for key, each in node["properties"].items()}
        others = {key: each for key, each in node.items() if key not in ("properties", "$defs")}
        return {"properties": properties, **shape(schema, others)}
    return {key: shape(schema, each) for key, each in node.items() if key not in _TEXTS}


def test_the_fields_of_network_policies_are_those_of_the_kubernetes_client() -> None:
    own, official = (
        shape(schema, schema)
        for schema in (
            NetworkPolicyFields.model_json_schema(),
            V1NetworkPolicySpec.model_json_schema(),
        )
    )

    assert own == official
    assert own["properties"]["ingress"]["anyOf"][0]["items"]["properties"]["from"]


numbers = st.from_regex(r"[+-]?([0-9]{1,12}\.?[0-9]{0,6}|\.[0-9]{1,6})", fullmatch=True)
units = st.sampled_from(["", *"numkMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2", "e+10"])


@given(number=numbers, unit=units)
@example(number="1", unit="m")
@example(number="1.5", unit="Gi")
def test_a_quantity_has_the_value_that_the_kubernetes_client_gives_it(
    number: str, unit: str
) -> None:
    official: Any = parse_quantity(number + unit)

    # Kubernetes rounds quantities up to billionths.
    assert 0 <= quantity(number + unit) - official < 1e-9


@pytest.mark.parametrize("text", ["", "1Ki5", "NaN", "infinity", "1ki", "Gi", "1 Gi", "1e", "٣"])
def test_a_text_that_is_not_a_quantity_has_no_value(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity(text)
