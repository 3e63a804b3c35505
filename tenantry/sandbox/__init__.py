"""The sandbox: a simulated Harbor, Keycloak and Kubernetes API that run in one process.

Recordings of real servers prove their answers.
"""

from tenantry.sandbox.clock import Clock
from tenantry.sandbox.controls import Controls
from tenantry.sandbox.counting import RequestCounter
from tenantry.sandbox.faults import Fault
from tenantry.sandbox.server import Sandbox, serve

__all__ = ["Clock", "Controls", "Fault", "RequestCounter", "Sandbox", "serve"]
