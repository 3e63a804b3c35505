"""Simulated kubelets: they read a Secret at intervals, and pull with what they read last."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tenantry.declared import Team
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.places import places
from tests.support.harness import Bench
from tests.support.wire import Request, Send, Wire

STEP = 15.0
"""The seconds between two pulls."""


class Puller:
    """Pulls with a Secret that it reads again after `delay` seconds."""

    def __init__(self, bench: Bench, namespace: str, name: str, delay: float) -> None:
        self._bench = bench
        self._where = name, namespace
        self._delay = delay
        self._read_at: datetime | None = None
        self._login = ("", "")

    def pull(self) -> bool:
        """Return whether a pull succeeds now."""
        now = self._bench.sandbox.clock.now()
        if self._read_at is None or (now - self._read_at).total_seconds() >= self._delay:
            self._login = self._bench.login(*self._where)
            self._read_at = now
        return self._bench.systems.harbor_client.accepts(*self._login)


class Pullers:
    """Pullers with several delays up to a greatest one, in seconds.

    Attributes:
        pulls: The number of pulls.
        failed: The number of failed pulls.
    """

    def __init__(self, bench: Bench, secrets: list[tuple[str, str]], greatest: float) -> None:
        self.pulls = self.failed = 0
        self._bench = bench
        self._pullers = [
            Puller(bench, namespace, name, delay)
            for namespace, name in secrets
            for delay in (0.0, 0.25 * greatest, 0.5 * greatest, greatest)
        ]
        self._here = threading.local()

    def pull(self) -> None:
        """Let each puller pull once, and move the clock."""
        for puller in self._pullers:
            self.pulls += 1
            self.failed += not puller.pull()
        self._bench.sandbox.clock.move(STEP)

    def wait(self, seconds: float) -> None:
        """Let the pullers pull for this time."""
        for _ in range(int(seconds / STEP) + 1):
            self.pull()

    @contextmanager
    def around_every_request(self) -> Iterator[None]:
        """Let all pullers pull before and after each request of this process."""

        def handle(request: Request, send: Send) -> Any:
            if getattr(self._here, "pulling", False):
                return send()
            with self._as_a_puller():
                self.pull()
            answer = send()
            with self._as_a_puller():
                self.pull()
            return answer

        with Wire(handle):
            yield

    @contextmanager
    def _as_a_puller(self) -> Iterator[None]:
        self._here.pulling = True
        try:
            yield
        finally:
            self._here.pulling = False


def rotate_in_place(bench: Bench) -> None:
    """Rotate by renewing the robot's secret, and then write the Secret: the usual way elsewhere."""
    for team in bench.teams:
        for purpose in team.active_robots:
            _renew(bench, team, purpose)


def _renew(bench: Bench, team: Team, purpose: str) -> None:
    secrets = bench.systems.credentials.secrets
    project = bench.sandbox.harbor.projects[team.project]
    (number,) = [
        robot.id
        for robot in bench.sandbox.harbor.robots.values()
        if (robot.project_id, robot.name[:-2]) == (project.id, purpose)
    ]
    secret = bench.systems.harbor_client.patch(f"/robots/{number}", {})["secret"]
    for place in places(team, purpose):
        live = secrets.read(place)
        assert live is not None
        new = Credential(live.handle["credential"].username, secret)
        secrets.write(place, live, new, live.fields["metadata"]["annotations"])


Rotate = Callable[[Bench], object]


def failed_pulls(bench: Bench, rotate: Rotate, times: int, delay: float) -> tuple[int, int]:
    """Rotate all teams this often, and return the number of failed pulls and of all pulls."""
    secrets = [
        (team.home_namespace, team.secret_name(p))
        for team in bench.teams
        for p in team.active_robots
    ]
    crowd = Pullers(bench, secrets, delay)
    crowd.pull()
    for _ in range(times):
        with crowd.around_every_request():
            rotate(bench)
        crowd.wait(2 * delay)
    return crowd.failed, crowd.pulls
