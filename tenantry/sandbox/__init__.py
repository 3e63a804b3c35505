"""The sandbox: a Harbor, a Keycloak and a Kubernetes API in one process, held to recorded facts."""

from tenantry.sandbox.clock import Clock
from tenantry.sandbox.controls import Controls, Fault
from tenantry.sandbox.counting import RequestCounter
from tenantry.sandbox.server import Sandbox, serve

__all__ = ["Clock", "Controls", "Fault", "RequestCounter", "Sandbox", "serve"]
