"""Simulated kubelets: they read Secrets at intervals, and pull with what they read last."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
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


Read = Callable[[], list[tuple[str, str]]]
"""Returns the credentials that a puller tries, one after the other."""


def secret(bench: Bench, namespace: str, name: str) -> Read:
    """Return a function that reads the credential in a Secret."""
    return lambda: [bench.login(name, namespace)]


def builds(bench: Bench, namespace: str, name: str) -> Read:
    """Return a function that reads the credential of builds, under the key `config.json`."""

    def read() -> list[tuple[str, str]]:
        entries = json.loads(bench.secret(name, namespace)["config.json"])["auths"].values()
        return [(entry["username"], entry["password"]) for entry in entries]

    return read


def attached(bench: Bench, namespace: str) -> Read:
    """Return a function that reads the Secrets that are attached to the default ServiceAccount.

    A kubelet tries all of their credentials until a pull succeeds, and ignores missing Secrets.
    """

    def read() -> list[tuple[str, str]]:
        cluster = bench.sandbox.kubernetes
        account = cluster.get("ServiceAccount", "default", namespace) or {}
        names = [each["name"] for each in account.get("imagePullSecrets") or ()]
        return [
            bench.login(name, namespace) for name in names if cluster.get("Secret", name, namespace)
        ]

    return read


class Puller:
    """Pulls with credentials that it reads again after `delay` seconds."""

    def __init__(self, bench: Bench, read: Read, delay: float) -> None:
        self._bench = bench
        self._read = read
        self._delay = delay
        self._read_at: datetime | None = None
        self._logins: list[tuple[str, str]] = []

    def pull(self) -> bool:
        """Return whether a pull succeeds now."""
        now = self._bench.sandbox.clock.now()
        if self._read_at is None or (now - self._read_at).total_seconds() >= self._delay:
            self._logins = self._read()
            self._read_at = now
        harbor = self._bench.systems.harbor_client
        return any(harbor.accepts(*login) for login in self._logins)


class Pullers:
    """Pullers with several delays up to a greatest one, in seconds.

    Attributes:
        pulls: The number of pulls.
        failed: The number of failed pulls.
        step: The seconds between two pulls. Set it to 0 where Keycloak is called: the tokens of its
            administrators live for a minute.
    """

    def __init__(
        self, bench: Bench, reads: Iterable[Read], greatest: float, at_once: int | None = None
    ) -> None:
        """
        Args:
            bench: The bench.
            reads: What the pullers read; for each there are several pullers.
            greatest: The greatest delay.
            at_once: How many pullers pull at each moment, in turn; all if not given.
        """
        self.pulls = self.failed = 0
        self.step = STEP
        self._bench = bench
        self._pullers = [
            Puller(bench, read, delay)
            for read in reads
            for delay in (0.0, 0.25 * greatest, 0.5 * greatest, greatest)
        ]
        self._at_once = at_once or len(self._pullers)
        self._here = threading.local()

    def pull(self) -> None:
        """Let the pullers whose turn it is pull once, and move the clock."""
        now = self._pullers[: self._at_once]
        self._pullers = [*self._pullers[self._at_once :], *now]
        for puller in now:
            self.pulls += 1
            self.failed += not puller.pull()
        self._bench.sandbox.clock.move(self.step)

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
    renewed = bench.systems.harbor_client.patch(f"/robots/{number}", {})["secret"]
    for place in places(team, purpose):
        live = secrets.read(place)
        assert live is not None
        new = Credential(live.handle["credential"].username, renewed)
        secrets.write(place, live, new, live.fields["metadata"]["annotations"])


Rotate = Callable[[Bench], object]


def failed_pulls(bench: Bench, rotate: Rotate, times: int, delay: float) -> tuple[int, int]:
    """Rotate all teams this often, and return the number of failed pulls and of all pulls."""
    reads = [
        secret(bench, team.home_namespace, team.secret_name(p))
        for team in bench.teams
        for p in team.active_robots
    ]
    crowd = Pullers(bench, reads, delay)
    crowd.pull()
    for _ in range(times):
        with crowd.around_every_request():
            rotate(bench)
        crowd.wait(2 * delay)
    return crowd.failed, crowd.pulls
