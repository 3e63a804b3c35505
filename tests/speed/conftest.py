"""The Prefect server of the tests that measure runs."""

from tests.support.flow_harness import platform

__all__ = ["platform"]
