"""A simulated Kubernetes 1.37 API server with the kinds of Istio and the Gateway API.

It stores objects of the kinds in `kinds.py`, with the defaults, errors and bodies of a real server:
server-side apply with field ownership, resourceVersion conflicts, dry runs, selectors, lists in
chunks, and namespaces that take time to terminate.

It does not simulate: authorization (the token may do everything), enforcement of quotas, limits and
Pod Security, watches, subresources, tables, protobuf, garbage collection by owner, running pods,
webhooks, and kinds defined at run time. An unknown kind gets the answer of a real server. A known
function that is not simulated answers 501 with a message. The schemas cover the fields of `spec`,
not their content.
"""

from .server import SimulatedKubernetes

__all__ = ["SimulatedKubernetes"]
