"""Locks in Prefect prevent that two runs change one team at the same time.

All tests share the server's locks, so each has its own teams.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from blocks.platform import load_platform
from demo.processes import ROOT, LocalPlatform
from tasks import locks
from tasks.active import active_locks
from tasks.lock_limits import limit_name
from tasks.locks import LockLost, TeamLock
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.locks import LockUnusable
from tenantry.onboarding import onboard, onboard_many, plan_all
from tenantry.outcomes import Outcome
from tenantry.systems.systems import Systems
from tests.e2e.conftest import SandboxBench
from tests.support.flow_harness import wide

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand("robust", "all of tests/e2e/test_locks.py"),
]


def slots(platform: LocalPlatform, team: str) -> int:
    """Return the number of holders of a team's lock."""
    return int(platform.call("GET", f"v2/concurrency_limits/{limit_name(team)}")["active_slots"])


def systems_of(bench: SandboxBench) -> Systems:
    """Return the systems of a bench, for use without Prefect."""
    addresses = bench.sandbox.addresses()
    connections = Connections(
        harbor=HarborAccount.model_validate(addresses["harbor"]),
        keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
        kubernetes=Cluster.model_validate(addresses["kubernetes"]),
    )
    return Systems(connections, load(bench.declared))


def robots(bench: SandboxBench) -> list[str]:
    return sorted(robot.name for robot in bench.sandbox.harbor.robots.values())


# Concurrent runs


@pytest.mark.long
def test_of_two_runs_for_a_team_one_waits_and_then_finds_nothing_to_do(bench: SandboxBench) -> None:
    platform = bench.platform
    bench.sandbox.controls.delay(0.4)  # so that the other run observes while one holds the lock
    with TeamLock(["twice"]):
        runs = [bench.start("onboard-team", team={"name": "twice"}) for _ in range(2)]
        platform.wait_for(lambda: all("Waiting for" in platform.run_log(run) for run in runs))
        writes_of_both = bench.sandbox.requests.writes()
    ended = [platform.wait_for_run(run) for run in runs]

    assert writes_of_both == 0, "nothing is written while another process holds the lock"
    assert [run["state_type"] for run in ended] == ["COMPLETED", "COMPLETED"]
    messages = sorted(run["state"]["message"] for run in ended)
    assert messages[0].endswith(" created.")
    assert messages[1] == "1 team: in sync."
    platform.wait_for(lambda: any(f"({run})" in platform.run_log(o) for run in runs for o in runs))
    assert robots(bench) == ["ci-a", "pull-a"]
    assert slots(platform, "twice") == 0


@pytest.mark.long
def test_a_batch_and_a_run_for_one_of_its_teams_keep_apart(bench: SandboxBench) -> None:
    platform = bench.platform
    names = [f"beside{number:02}" for number in range(14)]
    for name in names:
        bench.declare(name)
    with TeamLock(names):
        batch = bench.start("onboard-teams")
        single = bench.start("onboard-team", team={"name": names[3]})
        platform.wait_for(
            lambda: all("Waiting for" in platform.run_log(run) for run in (batch, single))
        )
    ended = [platform.wait_for_run(run) for run in (batch, single)]

    assert [run["state_type"] for run in ended] == ["COMPLETED", "COMPLETED"]
    assert robots(bench) == ["ci-a"] * 14 + ["pull-a"] * 14
    assert "onboard 14 teams, beside00 to beside13" in bench.task_states(ended[0])
    rows = bench.artifact("onboarding-result", ended[0])["data"]
    assert rows.count('"done"') == 14
    for name in names:
        run = ended[1] if name == names[3] else ended[0]
        assert bench.artifact(f"welcome-{name}", run)["data"].startswith(f"# Welcome, {name}")


@pytest.mark.long
def test_two_batches_at_once_bring_each_team_once(bench: SandboxBench) -> None:
    platform = bench.platform
    names = [f"both{number:02}" for number in range(14)]
    for name in names:
        bench.declare(name)
    with wide(platform, "onboard-teams"), TeamLock(names):
        runs = [bench.start("onboard-teams", scope="all") for _ in range(2)]
        platform.wait_for(lambda: all("Waiting for" in platform.run_log(run) for run in runs))
        writes_of_both = bench.sandbox.requests.writes()
    ended = [platform.wait_for_run(run) for run in runs]

    assert writes_of_both == 0, "nothing is written while another process holds the locks"
    assert [run["state_type"] for run in ended] == ["COMPLETED", "COMPLETED"]
    assert robots(bench) == ["ci-a"] * 14 + ["pull-a"] * 14
    tables = [json.loads(bench.artifact("onboarding-result", run)["data"]) for run in ended]
    changed = Counter(row["team"] for rows in tables for row in rows if row["changes"])
    assert changed == Counter(names)
    assert [slots(platform, name) for name in names] == [0] * 14


@pytest.mark.demand(
    "robust", "a killed lock holder delays the next run by the lease, a minute", "seconds"
)
@pytest.mark.long
def test_a_dead_holders_lock_is_free_within_about_a_minute(
    bench: SandboxBench, record_property: Callable[[str, object], None]
) -> None:
    code = (
        "from tasks.locks import TeamLock; import time\n"
        "with TeamLock(['dead']): print('taken', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    env = bench.platform.env
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        holder.kill()
    assert slots(bench.platform, "dead") == 1
    began = time.monotonic()

    with TeamLock(["dead"]):
        record_property("seconds", f"{time.monotonic() - began:.0f}")

    assert slots(bench.platform, "dead") == 0


# The lock itself


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of this process to Prefect's API by path."""
    counts: Counter[str] = Counter()
    request: Callable[..., Any] = SyncPrefectClient.request

    def counting(self: Any, method: str, path: str, *args: Any, **options: Any) -> Any:
        counts[path.rsplit("/", 1)[-1]] += 1
        return request(self, method, path, *args, **options)

    monkeypatch.setattr(SyncPrefectClient, "request", counting)
    return counts


@pytest.mark.usefixtures("platform")
def test_a_shards_locks_are_one_call_however_many_they_are(calls: Counter[str]) -> None:
    names = [f"many{number:02}" for number in range(25)]
    with TeamLock(names):
        pass
    calls.clear()

    with TeamLock(names):
        taken = dict(calls)

    assert taken == {"filter": 1, "increment-with-lease": 1}
    assert dict(calls) == {**taken, "decrement-with-lease": 1}


def test_many_locks_are_taken_all_or_none(platform: LocalPlatform) -> None:
    with TeamLock(["some-b"]):
        with get_client(sync_client=True) as client:
            whole = TeamLock(["some-a", "some-b", "some-c"])
            whole._prepare(client)
            assert whole._take(client) is None
        assert [slots(platform, f"some-{letter}") for letter in "abc"] == [0, 1, 0]


@pytest.mark.long
def test_a_lock_that_somebody_switched_off_is_named_and_costs_its_team_only(
    bench: SandboxBench,
) -> None:
    names = [f"off{number:02}" for number in range(14)]
    for name in names:
        bench.declare(name)
    with TeamLock(names):
        pass  # the limits are created on first use
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(
            limit_name("off03"), GlobalConcurrencyLimitUpdate(active=False)
        )
        client.update_global_concurrency_limit(
            limit_name("off04"), GlobalConcurrencyLimitUpdate(limit=0)
        )

    batch = bench.run("onboard-teams")
    single = bench.run("onboard-team", team={"name": "off03"})

    assert batch["state"]["message"].startswith("12 of 14 teams changed, 2 failed.")
    assert "'team-off03' is not active, 'team-off04' is 0" in batch["state"]["message"]
    assert single["state_type"] == "FAILED"
    assert single["state"]["message"].startswith(
        "Prefect: lock of team 'off03': the concurrency limit 'team-off03' is not active, "
        "and must be 1 and active"
    )
    assert {"team-off03", "team-off04"}.isdisjoint(bench.sandbox.harbor.projects)


@pytest.mark.usefixtures("platform")
def test_the_error_of_a_run_that_waits_for_too_long_says_how_to_free_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "MAX_WAIT", -1.0)

    with TeamLock(["stuck"]), pytest.raises(LockUnusable) as raised:
        TeamLock(["stuck"]).__enter__()

    assert "update team-stuck --active-slots 0" in str(raised.value)


@pytest.mark.demand("lifecycle", "a run that began before the offboarding restores nothing")
def test_a_team_that_was_offboarded_meanwhile_is_refused_under_its_lock(
    bench: SandboxBench,
) -> None:
    for name in ("ending", "staying"):
        bench.declare(name)
    lock = active_locks(load_platform(bench.block))
    with lock(["ending", "staying"]):
        pass

    bench.declare("ending", "offboarding: {since: 2026-11-30, by: ann, remove_after: 2099-01-01}\n")

    with pytest.raises(LockUnusable) as raised:
        lock(["ending", "staying"]).__enter__()
    assert raised.value.teams == ["ending"]
    assert "offboarded after this run had read the declared state" in str(raised.value)
    with lock(["staying"]), TeamLock(["ending"]):  # it was released
        pass


# The lock is lost


def test_nothing_is_written_once_the_lease_is_gone(
    bench: SandboxBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "RENEWAL", 0.1)
    bench.declare("robbed")
    lock, done = TeamLock(["robbed"]), []
    leases: list[UUID] = []
    monkeypatch.setattr(locks, "emit_taken", lambda teams, lease: leases.append(lease))

    def rob(change: Any) -> None:
        done.append(change)
        if len(done) == 3:
            with get_client(sync_client=True) as client:
                client.release_concurrency_slots_with_lease(leases[0])
            assert lock._gone.wait(10)
            bench.sandbox.requests.reset()

    with systems_of(bench) as systems, pytest.raises(LockLost) as raised:
        onboard(systems, systems.state.teams["robbed"], report=rob, lock=lock)

    assert len(done) == 3
    assert bench.sandbox.requests.total() == 0
    assert str(raised.value).startswith(
        "Prefect: lock of team 'robbed': it is lost: Prefect reports that the lease has expired."
    )


def test_nothing_is_written_when_the_lease_could_not_be_renewed_in_time(
    bench: SandboxBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TIMEOUT", locks.LEASE)  # the lock is never certain
    names = ["late00", "late01"]
    for name in names:
        bench.declare(name)
    ended: list[Outcome] = []
    with systems_of(bench) as systems:
        teams = [systems.state.teams[name] for name in names]
        onboard_many(systems, teams, plan_all(systems, teams), TeamLock(names), ended.append)

    assert sorted(outcome.team for outcome in ended) == names
    assert all("it could not be renewed for 0 s" in str(outcome.error) for outcome in ended)
    assert bench.sandbox.requests.writes() == 0
