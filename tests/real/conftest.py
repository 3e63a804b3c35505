"""The real servers come from `tests.real.fixtures`; these are what they hand to a test."""

from tests.real.fixtures import Cluster, Keycloak
from tests.real.servers.istioctl import Istioctl

__all__ = ["Cluster", "Istioctl", "Keycloak"]
