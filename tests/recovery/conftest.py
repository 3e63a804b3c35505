"""Fixtures: onboarded teams, whose systems are then damaged."""

from tests.drift.conftest import _onboarded, watched

__all__ = ["_onboarded", "watched"]
