"""NetworkPolicies that violate a limit: content, a part of the fault, and the limit."""

from typing import Any

from tests.support.harness import Data


def policies(**specs: Any) -> Data:
    return {"namespace": {"network": {"policies": specs}}}


NETWORK: dict[str, tuple[Data, str, str]] = {
    "from everywhere": (
        policies(p={"ingress": [{}]}),
        "namespace.network.policies.p.ingress[0]: allows ingress from everywhere",
        "without_isolation",
    ),
    "from everywhere to a port": (
        policies(p={"ingress": [{"ports": [{"port": 80}]}]}),
        "namespace.network.policies.p.ingress[0]: allows ingress from everywhere",
        "without_isolation",
    ),
    "from all addresses": (
        policies(p={"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
        "allows ingress from all addresses, 0.0.0.0/0",
        "without_isolation",
    ),
    "from all addresses in halves": (
        policies(
            p={"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/1"}}]}]},
            q={"ingress": [{"from": [{"ipBlock": {"cidr": "128.0.0.0/1"}}]}]},
        ),
        "allows ingress from all addresses, 0.0.0.0/0",
        "without_isolation",
    ),
    "from all addresses of IPv6": (
        policies(p={"ingress": [{"from": [{"ipBlock": {"cidr": "::/0"}}]}]}),
        "allows ingress from all addresses, ::/0",
        "without_isolation",
    ),
    "from all namespaces": (
        policies(p={"ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        "allows ingress from namespaces that it does not name",
        "without_isolation",
    ),
    "from namespaces of other teams": (
        policies(
            p={
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [
                                        {
                                            "key": "kubernetes.io/metadata.name",
                                            "operator": "NotIn",
                                            "values": ["x"],
                                        }
                                    ]
                                }
                            }
                        ]
                    }
                ]
            }
        ),
        "allows ingress from namespaces that it does not name",
        "without_isolation",
    ),
    "from all that Tenantry made": (
        policies(
            p={
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchLabels": {"app.kubernetes.io/managed-by": "tenantry"}
                                }
                            }
                        ]
                    }
                ]
            }
        ),
        "allows ingress from namespaces that it does not name",
        "without_isolation",
    ),
    "in place of the default": (
        policies(**{"tenantry-default-deny": {"podSelector": {"matchLabels": {"a": "b"}}}}),
        "would replace the policy 'tenantry-default-deny'",
        "without_isolation",
    ),
    "to other addresses": (
        policies(p={"egress": [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}]}),
        "allows traffic to 169.254.169.254/32",
        "egress",
    ),
    "to more addresses": (
        policies(p={"egress": [{"to": [{"ipBlock": {"cidr": "8.0.0.0/6"}}]}]}),
        "allows traffic to 8.0.0.0/6",
        "egress",
    ),
}
