"""The fields of a team file about a namespace: labels, quota, limits and NetworkPolicies."""

from typing import Literal

from pydantic import StrictBool

from tenantry.declared.kubernetes_values import ClusterRoleName, Key, Label, Revision
from tenantry.declared.network_policies import NetworkPolicySpec
from tenantry.declared.quotas import Amounts, Quota
from tenantry.declared.types import Model, ShortName

PodSecurity = Literal["privileged", "baseline", "restricted"]


class ContainerLimits(Model):
    """The LimitRange of a namespace: default and allowed resources of a container."""

    default: Amounts = {}
    """The limits of a container that declares none, such as `memory: 512Mi`."""
    default_request: Amounts = {}
    """The requests of a container that declares none, such as `memory: 128Mi`."""
    max: Amounts = {}
    """The largest limits that a container may have, such as `memory: 4Gi`."""
    min: Amounts = {}
    """The smallest requests that a container may have, such as `cpu: 10m`."""


class Network(Model):
    """The NetworkPolicies of a namespace. Traffic that is not allowed here is denied."""

    deny_by_default: bool = True
    """Deny all ingress and egress that no policy allows. If false, Tenantry creates no
    NetworkPolicies."""
    allow_dns: bool = True
    """Allow DNS queries to the cluster's DNS."""
    allow_same_namespace: bool = True
    """Allow traffic between the pods of the namespace."""
    allow_mesh: bool = True
    """Allow the sidecars' connections to Istio's control plane."""
    allow_gateway: bool = True
    """Allow traffic from the mesh's ingress gateway."""
    policies: dict[ShortName, NetworkPolicySpec] = {}
    """Further NetworkPolicies by name. Each value is the `spec` of a NetworkPolicy."""


class Namespace(Model):
    """A namespace of the team, with its quota, limits, policies and role binding."""

    labels: dict[Key, Label] = {}
    """Further labels of the namespace."""
    annotations: dict[Key, str] = {}
    """Further annotations of the namespace."""
    pod_security: PodSecurity | None = "baseline"
    """The enforced Pod Security level. Sidecar injection without Istio's CNI requires
    `privileged`. null sets no level: the API server's default applies."""
    mesh: StrictBool | Revision = True
    """Whether Istio injects its sidecar: true, false, or the name of a revision."""
    quota: Quota = {}
    """The ResourceQuota, by resource, such as `requests.cpu: 4`."""
    limits: ContainerLimits = ContainerLimits()
    """The LimitRange for containers."""
    network: Network = Network()
    """The NetworkPolicies."""
    cluster_role: ClusterRoleName | None = "tenantry-team-member"
    """The ClusterRole that is bound to the team's OIDC group in the namespace. null binds none."""
