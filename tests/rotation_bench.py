"""A bench whose time is moved, to rotate on, and what must hold of rotated robots."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tenantry.locks import Lock
from tenantry.rotation import Order, Outcome, rotate
from tenantry.sandbox.harbor.model import Robot
from tenantry.systems import Systems
from tenantry.systems.credentials.pairs import ROBOT
from tests.bench import Bench, Data

ROTATED: Data = {"max_age_days": 20}
SHOP: Data = {
    "name": "shop",
    "robots": {
        "pull": {"expiry_days": 30, "rotation": ROTATED},
        "ci": {"expiry_days": 30, "rotation": ROTATED},
    },
}
"""A team whose credentials are due between 15 and 20 days after they were published."""


class Alone:
    """The lock of a test in which nobody else is at work."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def check(self) -> None:
        """It is never lost."""


def pass_time(bench: Bench, **much: float) -> None:
    """Moves the clock; nothing waits."""
    bench.sandbox.clock.move(timedelta(**much).total_seconds())


def order(bench: Bench, **asked: Any) -> Order:
    """What somebody asks for at this moment."""
    return Order(bench.sandbox.clock.now(), **asked)


def run(
    bench: Bench,
    asked: Order | None = None,
    *,
    systems: Systems | None = None,
    purposes: Sequence[str] | None = None,
    lock: Lock | None = None,
) -> dict[str, Outcome]:
    """One run of rotation over all teams, by team and purpose."""
    found = rotate(
        systems or bench.systems,
        bench.teams,
        asked or order(bench),
        bench.sandbox.clock.now(),
        lock or Alone(),
        purposes=purposes,
    )
    return {outcome.name: outcome for outcome in found}


def robots(bench: Bench, slug: str = "team-shop") -> dict[str, Robot]:
    """A project's robots by their short names."""
    project = bench.sandbox.harbor.projects[slug]
    found = bench.sandbox.harbor.robots.values()
    return {robot.name: robot for robot in found if robot.project_id == project.id}


def enabled(bench: Bench, slug: str = "team-shop") -> set[str]:
    """Those that work."""
    now = bench.sandbox.clock.now().timestamp()
    return {
        name
        for name, robot in robots(bench, slug).items()
        if not robot.disabled and (robot.expires_at < 0 or robot.expires_at > now)
    }


def published(bench: Bench, purpose: str = "pull", namespace: str = "team-shop") -> str:
    """Which robot a Secret names."""
    held = bench.sandbox.kubernetes.get("Secret", f"harbor-{purpose}", namespace)
    assert held is not None
    return str(held["metadata"]["annotations"][ROBOT])
