"""A sandbox that tests share is for each of them as it was prepared."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import SHOP, Bench, Prepared
from tests.support.rotation_harness import pass_time


def held(bench: Bench) -> dict[str, Any]:
    """Return all that a test could find in a sandbox, but for the present time."""
    sandbox = bench.sandbox
    harbor, controls = sandbox.harbor, sandbox.controls
    content = {name: getattr(sandbox, name).dump() for name in ("harbor", "keycloak", "kubernetes")}
    content["harbor"][
        "sessions"
    ] = {}  # loading the declared state begins none, closing may end one
    return dict(json.loads(json.dumps(content))) | {
        "files": {path.name: path.read_text() for path in bench.folder.rglob("*.yaml")},
        "requests": sandbox.requests.total(),
        "faults": controls.faults,
        "latency": controls.latency,
        "down": controls.down,
        "logins": controls.logins,
        "alter": controls.alter,
        "fault": sandbox.fault_for("harbor", "GET", "/"),
        "settings": (
            harbor.version,
            harbor.login_delay,
            harbor.race_window,
            harbor.read_only_configuration,
            dict(harbor.unhealthy),
            sandbox.kubernetes.namespace_termination_seconds,
        ),
        "memory": (dict(harbor.locked), dict(harbor.uploads), list(harbor.issued_secrets)),
    }


def change_everything(bench: Bench) -> None:
    """Change what a test may change, and clean nothing up."""
    sandbox = bench.sandbox
    bench.declare(SHOP, {"name": "data"}).onboard("data")
    harbor, kubernetes, controls = sandbox.harbor, sandbox.kubernetes, sandbox.controls
    harbor.version, harbor.login_delay, harbor.race_window = "v1", 9.0, 9.0
    harbor.read_only_configuration = True
    harbor.unhealthy["redis"] = "gone"
    harbor.locked["admin"] += 1
    kubernetes.namespace_termination_seconds = 99.0
    kubernetes.delete("Namespace", "default")
    sandbox.keycloak.add_user("platform", "mallory")
    controls.fail(500, times=None)
    controls.delay(5)
    controls.take_down("database")
    controls.log_in("eve")
    controls.alter = lambda system, method, path, body: b""
    sandbox.fault_for = lambda system, method, path: 418
    pass_time(bench, days=400)


def test_each_test_finds_the_sandbox_as_it_was_prepared(tmp_path: Path) -> None:
    with Prepared(tmp_path / "prepared", lambda bench: bench.declare(SHOP).onboard()) as prepared:
        with prepared.bench(tmp_path / "first") as bench:
            first, began = held(bench), bench.sandbox.clock.now()
            change_everything(bench)

        with prepared.bench(tmp_path / "second") as bench:
            assert held(bench) == first
            assert abs((bench.sandbox.clock.now() - began).total_seconds()) < 3600
            bench.sandbox.fault_for = lambda system, method, path: 418
            with pytest.raises(Exception, match="418"):
                bench.observe()
