"""The fields of a NetworkPolicy's `spec`, as Kubernetes publishes them (networking.k8s.io/v1).

The official Python client has these models, too, but importing one of them loads the whole client,
which takes longer than validating a hundred teams. `tests/declared/test_kubernetes_client.py` compares
both, so that a new version of the client shows what is missing here.
"""

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class LabelSelectorRequirement(_Fields):
    """A condition on the value of one label."""

    key: StrictStr
    """The key of the label."""
    operator: StrictStr
    """The comparison: In, NotIn, Exists or DoesNotExist."""
    values: list[StrictStr] | None = None
    """The values for In and NotIn. Exists and DoesNotExist have none."""


class LabelSelector(_Fields):
    """A selection of objects by their labels. An empty selector selects all objects."""

    match_expressions: list[LabelSelectorRequirement] | None = Field(None, alias="matchExpressions")
    """Conditions on labels. All of them must be met."""
    match_labels: dict[str, StrictStr] | None = Field(None, alias="matchLabels")
    """Labels with their values. An object must have all of them."""


class IPBlock(_Fields):
    """A range of IP addresses."""

    cidr: StrictStr
    """The range, such as 192.168.1.0/24 or 2001:db8::/64."""
    excluded: list[StrictStr] | None = Field(None, alias="except")
    """Smaller ranges in the range, which are left out."""


class NetworkPolicyPeer(_Fields):
    """Pods or addresses. An `ipBlock` excludes the selectors."""

    ip_block: IPBlock | None = Field(None, alias="ipBlock")
    """A range of IP addresses."""
    namespace_selector: LabelSelector | None = Field(None, alias="namespaceSelector")
    """Namespaces. Without `podSelector`, all pods of these namespaces."""
    pod_selector: LabelSelector | None = Field(None, alias="podSelector")
    """Pods of the selected namespaces; without `namespaceSelector`, of the policy's namespace."""


class NetworkPolicyPort(_Fields):
    """A port, or a range of ports."""

    end_port: StrictInt | None = Field(None, alias="endPort")
    """The last port of the range whose first port is `port`."""
    port: StrictInt | StrictStr | None = None
    """The number of the port, or the name of a container's port; all ports if not given."""
    protocol: StrictStr | None = None
    """The protocol: TCP (the default), UDP or SCTP."""


class NetworkPolicyEgressRule(_Fields):
    """Traffic that is allowed from the selected pods. It must match both ports and destinations."""

    ports: list[NetworkPolicyPort] | None = None
    """The ports; all ports if empty."""
    to: list[NetworkPolicyPeer] | None = None
    """The destinations; all destinations if empty."""


class NetworkPolicyIngressRule(_Fields):
    """Traffic that is allowed to the selected pods. It must match both ports and sources."""

    sources: list[NetworkPolicyPeer] | None = Field(None, alias="from")
    """The sources; all sources if empty."""
    ports: list[NetworkPolicyPort] | None = None
    """The ports; all ports if empty."""


class NetworkPolicyFields(_Fields):
    """The `spec` of a NetworkPolicy."""

    egress: list[NetworkPolicyEgressRule] | None = None
    """The rules for outgoing traffic."""
    ingress: list[NetworkPolicyIngressRule] | None = None
    """The rules for incoming traffic."""
    pod_selector: LabelSelector | None = Field(None, alias="podSelector")
    """The pods that the policy applies to; all pods of the namespace if empty."""
    policy_types: list[StrictStr] | None = Field(None, alias="policyTypes")
    """The directions that the policy restricts: Ingress, Egress. By default Ingress, and Egress if
    `egress` has rules."""
