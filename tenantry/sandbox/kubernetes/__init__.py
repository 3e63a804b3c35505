"""A simulated Kubernetes 1.37 API server that knows Istio's and the Gateway API's kinds.

It keeps objects of the kinds in `kinds.py`, with the defaults, refusals and bodies of the real one:
server-side apply with ownership of fields, conflicts of resourceVersion, dry runs, selectors, lists
in chunks, namespaces that take a while to go.

It does not simulate: authorization (whoever holds the token may do everything), enforcement of
quotas, limits and Pod Security, watches, subresources, tables, protobuf, garbage collection by
owner, anything that runs (a pod stays a record), webhooks, and kinds defined at run time. A kind
that isn't in the table is as unknown as to a real server; what is known and not simulated answers
501 and says so. Of schemas it knows the fields right below `spec`, not what is inside them.
"""

from .server import SimulatedKubernetes

__all__ = ["SimulatedKubernetes"]
