"""Measures how procedures recover from an outage of a given Harbor.

    export TENANTRY_TEST_HARBOR_URL=… TENANTRY_TEST_HARBOR_PASSWORD=…
    python -m tests.real.outages --down 'docker kill harbor-core' --up 'docker start harbor-core' \
        --seconds 60

Keycloak and Kubernetes are simulated. With a given Keycloak and a Harbor whose OIDC provider may be
replaced (TENANTRY_TEST_HARBOR_SIGN_ON), a migration of the issuer is measured, too: the export, the
waves and the restoring of rights. The command `--down` runs a moment after a procedure has begun,
and `--up` after the given seconds. A failed procedure is retried as a task is; if it still fails,
the next run follows, as a schedule would start it. Each measurement also asserts the result: every
team is in sync and exists once, and no working secret was renewed.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tasks.step import DELAYS, RETRIED
from tenantry import declared, drift, onboarding, rotation
from tenantry.connections import Connections, HarborAccount
from tenantry.errors import TenantryError
from tenantry.locks import NoLock
from tenantry.migration import report
from tenantry.migration.inspect_issuer import find_issuers
from tenantry.migration.options import Options as MigrationOptions
from tenantry.outcomes import Outcome
from tenantry.plan import Plan
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.drift.watch import remediate
from tests.real.fixtures import Keycloak
from tests.real.issuer_lab import IssuerLab
from tests.real.lab_harbor import LabHarbor
from tests.real.servers.given import ready, remove_from_harbor
from tests.real.test_migration import give_rights
from tests.sandbox.calls import Caller
from tests.support.addresses import Given, given
from tests.support.harness import FaultySandbox, connections, prepare, write
from tests.support.wire import Wire

_MOST_RUNS = 6
BEGINS = 0.5
"""Seconds between the start of a procedure and the outage."""


class Measured(NamedTuple):
    """The measurements of one procedure during an outage.

    Attributes:
        procedure: The name of the procedure.
        seconds: The duration, including the outage.
        tries: The number of attempts.
        runs: The number of runs; a run fails after its last attempt.
        created: The number of robots created by answered requests.
        renewed: The number of renewed secrets.
    """

    procedure: str
    seconds: float
    tries: int
    runs: int
    created: int
    renewed: int


class Platform:
    """Teams on a given Harbor, and the procedures that Tenantry runs for them."""

    def __init__(self, account: HarborAccount, folder: Path, teams: int) -> None:
        self.account = account
        self.mark = uuid.uuid4().hex[:6]
        self._sandbox = FaultySandbox()
        robot = {"expiry_days": 30, "rotation": {"max_age_days": 20}}
        self._declared = [
            {"name": f"t{self.mark}{number:03}", "robots": {"pull": robot}}
            for number in range(teams)
        ]
        self._folder = folder

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve the other systems from the sandbox; remove the objects in Harbor in the end."""
        with ready(self.account), self._sandbox:
            prepare(self._sandbox)
            settings = {"harbor": {"configuration": {"token_expiration": 31}}}
            write(self._folder, *self._declared, platform={"name": "Outages", **settings})
            self.state = declared.load(self._folder)
            self.teams = list(self.state.teams.values())
            admin = Caller(
                self.account.url,
                self.account.username,
                self.account.password.get_secret_value(),
            )
            before = admin.json("/configurations")["token_expiration"]["value"]
            try:
                yield
            finally:
                admin("PUT", "/configurations", json={"token_expiration": before})
                remove_from_harbor(self.account, self.mark)

    @contextmanager
    def process(self, *, extras: bool = False) -> Iterator[Systems]:
        """Connect to the systems as a new process does."""
        rest = connections(self._sandbox)
        where = Connections(harbor=self.account, keycloak=rest.keycloak, kubernetes=rest.kubernetes)
        with Systems(where, self.state, extras=extras) as systems:
            yield systems

    # Procedures

    def onboard(self) -> None:
        """Onboard all teams."""
        done: list[Outcome] = []
        with self.process() as systems:
            planned = onboarding.plan_all(systems, self.teams)
            onboarding.onboard_many(systems, self.teams, planned, NoLock(), done.append)
        _raise(each.error for each in done)

    def configure(self) -> None:
        """Configure the platform."""
        with self.process() as systems:
            onboarding.configure(systems)

    def remediate(self) -> None:
        """Find and remediate drift of all teams."""
        with self.process() as systems:
            seen = drift.observe(systems, self.teams, drift.SYSTEMS)
            found = drift.detect(systems, self.teams, seen)
            _raise(each.error for each in seen.unreadable.values())
            remediate(systems, found, "safe")

    def rotate(self) -> Callable[[], None]:
        """Request a rotation of all teams now, and return the procedure that performs it."""
        with self.process() as systems:
            order = rotation.RotationRequest(
                systems.clock(), force=True, reason="an outage is measured"
            )

        def procedure() -> None:
            with self.process() as systems:
                found = rotation.rotate(systems, self.teams, order, systems.clock(), NoLock())
            _raise(each.error for each in found)

        return procedure

    def break_things(self) -> None:
        """Change some objects of each team by hand."""
        with self.process() as systems:
            for name, row in systems.harbor.projects(
                [team.project for team in self.teams], observe_owners(systems.team_adapters, [])
            ).items():
                path = f"/projects/{row['project_id']}"
                systems.harbor_client.put(path, {"metadata": {"public": "true"}})
                for member in systems.harbor_client.pages(f"{path}/members"):
                    if member["entity_name"] == name:
                        systems.harbor_client.delete(f"{path}/members/{member['id']}")

    def check(self) -> None:
        """Assert that all teams are in sync and that each has its robots."""
        with self.process() as systems:
            outcomes = onboarding.plan_all(systems, self.teams)
        assert [(each.plan, each.error) for each in outcomes] == [
            (Plan(team.name), None) for team in self.teams
        ]


class Migration:
    """Users of one realm of a given Keycloak, who are migrated to another realm."""

    def __init__(self, lab: IssuerLab) -> None:
        self._lab = lab
        self._order = MigrationOptions(pilot=(lab.names[0],), wave_percent=50, soak_hours=24)

    def export(self) -> None:
        """Read all users, export their rights, and approve the plan."""
        lab = self._lab
        with lab.systems() as systems:
            is_on = lab.migration(systems).is_on
        found = None if is_on else lab.inspect(self._order)
        with lab.systems() as systems:
            migration = lab.migration(systems)
            if found is not None:
                migration.export(found, *find_issuers(systems), self._order, "issuer")
            migration.approve(migration.entry.plan, "Ann")

    def move(self) -> None:
        """Make Harbor trust the new realm, and delete its users wave by wave."""
        with self._lab.systems() as systems:
            migration = self._lab.migration(systems)
            migration.switch()
            migration.move()

    def give_back(self) -> None:
        """Restore the direct rights of the users who have logged in again."""
        with self._lab.systems() as systems:
            standing = self._lab.migration(systems).follow_up()
        assert not standing.pending

    def check(self) -> None:
        """Assert that every user has the same rights as before."""
        with self._lab.systems() as systems:
            rights = report.compare(self._lab.migration(systems))
        assert rights
        assert all(right.is_equal for right in rights)


def _raise(errors: Iterator[TenantryError | None]) -> None:
    found = [error for error in errors if error is not None]
    later = [error for error in found if isinstance(error, RETRIED)]
    if found:
        raise (later or found)[0]


def through(
    name: str, procedure: Callable[[], object], down: str, up: str, seconds: float
) -> Measured:
    """Run a procedure during an outage, and return its measurements."""

    def outage() -> None:
        time.sleep(BEGINS)
        _shell(down)
        time.sleep(seconds)
        _shell(up)

    thread = threading.Thread(target=outage)
    began, tries, runs, ended = time.monotonic(), 0, 0, False
    with Wire() as wire:
        if down:
            thread.start()
        while not ended:
            ended, tried = _run(procedure)
            tries, runs = tries + tried, runs + 1
            assert ended or runs < _MOST_RUNS, f"{name} does not succeed within {runs} runs"
        took = time.monotonic() - began
        if down:
            thread.join()
    robots = [each for each in wire.requests if "/api/v2.0/robots" in each.url]
    created = sum(each.method == "POST" for each in robots)
    renewed = sum(each.method == "PATCH" for each in robots)
    return Measured(name, took, tries, runs, created, renewed)


def _run(procedure: Callable[[], object]) -> tuple[bool, int]:
    """Run a procedure with the retries of a task; return whether it succeeded, and the attempts."""
    for number, delay in enumerate([*DELAYS, 0.0], 1):
        try:
            procedure()
        except RETRIED as error:
            print(f"    {error}", file=sys.stderr)
            time.sleep(delay)
        else:
            return True, number
    return False, len(DELAYS) + 1


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def measure(down: str, up: str, seconds: float, teams: int) -> list[Measured]:
    """Return the measurements of all procedures."""
    account = given().harbor
    if account is None:
        sys.exit("Give a Harbor by TENANTRY_TEST_HARBOR_URL (docs/testing.md).")
    found: list[Measured] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        platform = Platform(account, folder, teams)
        stack.enter_context(platform.served())
        found.append(through("onboard", platform.onboard, down, up, seconds))
        assert found[-1].renewed == 0
        platform.check()
        found.append(through("rotate", platform.rotate(), down, up, seconds))
        platform.check()
        platform.break_things()
        found.append(through("remediate", platform.remediate, down, up, seconds))
        assert (found[-1].created, found[-1].renewed) == (0, 0)
        platform.check()
        found.append(through("configure-platform", platform.configure, down, up, seconds))
    return found


def measure_migration(
    systems: Given, down: str, up: str, seconds: float, people: int
) -> list[Measured]:
    """Return the measurements of the steps of a migration."""
    assert systems.keycloak is not None
    password = systems.keycloak.password.get_secret_value()
    account = {**systems.keycloak.model_dump(), "password": password}
    found: list[Measured] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sandbox = stack.enter_context(FaultySandbox())
        harbor = LabHarbor(sandbox, systems.harbor)
        lab = IssuerLab(Keycloak(**account), sandbox, harbor, folder, people, max(1, people // 8))
        stack.callback(lab.close)
        lab.set_up()
        give_rights(lab, lab.ids)
        migration = Migration(lab)
        found.append(through("export", migration.export, down, up, seconds))
        found.append(through("waves", migration.move, down, up, seconds))
        ids = lab.all_log_in(lab.names)
        assert len(set(ids.values())) == people
        found.append(through("give back", migration.give_back, down, up, seconds))
        migration.check()
        again = lab.all_log_in(lab.names)
        assert again == ids
    return found


def table(found: Sequence[Measured]) -> str:
    """Return the measurements as a Markdown table."""
    lines = ["| procedure | seconds | tries | runs | requests for a robot | secrets renewed |"]
    lines.append("|---|---|---|---|---|---|")
    for each in found:
        lines.append(
            f"| {each.procedure} | {each.seconds:.1f} | {each.tries} | {each.runs} "
            f"| {each.created} | {each.renewed} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure all procedures, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.real.outages")
    parser.add_argument("--down", default="", help="the command that begins the outage")
    parser.add_argument("--up", default="", help="the command that ends it")
    parser.add_argument("--seconds", type=float, default=5, help="how long it lasts")
    parser.add_argument("--teams", type=int, default=50, help="how many teams there are; 0: none")
    parser.add_argument("--people", type=int, default=50, help="how many people are moved; 0: none")
    arguments = parser.parse_args()
    outage, systems = (arguments.down, arguments.up, arguments.seconds), given()
    found = measure(*outage, arguments.teams) if arguments.teams else []
    if systems.keycloak and systems.harbor and systems.harbor.sign_on and arguments.people:
        found += measure_migration(systems, *outage, arguments.people)
    print(table(found))


if __name__ == "__main__":
    main()
