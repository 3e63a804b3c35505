"""Imports the fixtures of the real servers from `tests.real.fixtures`."""

import pytest

from tests.real.fixtures import Cluster, Keycloak
from tests.real.servers.istioctl import Istioctl
from tests.support.demands import mark_folder

__all__ = ["Cluster", "Istioctl", "Keycloak"]


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("real"):
        mark_folder(item, "real", "all of tests/conformance and tests/real, on the real servers")
        mark_folder(item, "real", "Tenantry on the real servers: all of tests/real")
