"""Rotation leaks no secret: not after failures, nor if answers repeat the secret."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from demo.processes import LocalPlatform
from tenantry.declared import load
from tenantry.onboarding import onboard
from tenantry.systems.systems import Systems
from tests.e2e.test_secrets import Case, ChangeAnswer, ChangedSandbox, on, run_all
from tests.support.flow_harness import wide
from tests.support.harness import connections, write

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("platform"),
    pytest.mark.demand(
        "rotate", "the flow through a real Prefect server, and the search for secrets"
    ),
]

FORCED = {"force": True}
COMPROMISED = {"compromised": True, "require_approval": False, "reason": "leaked"}


def case(
    name: str,
    change_answer: ChangeAnswer | None = None,
    asked: dict[str, Any] = FORCED,
    **more: Any,
) -> Case:
    """Return a case that rotates an onboarded team. Answers are changed only after the onboarding."""
    armed: list[ChangeAnswer] = []

    def changing(system: str, call: str) -> str | None:
        return armed[0](system, call) if armed else None

    def prepare(sandbox: ChangedSandbox) -> None:
        with tempfile.TemporaryDirectory() as folder:
            state = load(write(Path(folder), {"name": "demo"}))
        with Systems(connections(sandbox), state) as systems:
            onboard(systems, state.teams["demo"])
        if change_answer is not None:
            armed.append(change_answer)
        more.get("prepare", lambda sandbox: None)(sandbox)

    rest = {key: value for key, value in more.items() if key != "prepare"}
    return Case(name, changing, "rotate-robots", asked, prepare, **rest)


def both(*starts: str, how: str) -> ChangeAnswer:
    """Return a callable that changes Harbor's answers to calls with one of these beginnings."""
    changes = [on("harbor", start, how) for start in starts]
    return lambda system, call: next(
        filter(None, (change(system, call) for change in changes)), None
    )


TOKEN = "GET /service/token"
ROBOTS = "POST /api/v2.0/robots"
RENEWALS = "PATCH /api/v2.0/robots/"
SECRETS = "PATCH /api/v1/namespaces/team-demo/secrets/"
UPLOADS = "POST /v2/team-demo/"
CASES = [
    case("success", ends="COMPLETED"),
    case("a dry run", asked={**FORCED, "dry_run": True}, ends="COMPLETED"),
    case("compromised", asked=COMPROMISED, ends="COMPLETED"),
    case(
        "a crash",
        prepare=lambda sandbox: sandbox.controls.delay(0.1),
        killed=True,
        ends="COMPLETED",
    ),
    case("a login that is refused, with an echo", on("harbor", TOKEN, "echo 403")),
    case("half a token", on("harbor", TOKEN, "half")),
    case("a token in lists", on("harbor", TOKEN, "nested")),
    case("a robot refused, with an echo", on("harbor", ROBOTS, "echo 422")),
    # The next attempt finds the robot and renews its secret.
    case("a robot without its name", on("harbor", ROBOTS, "without name"), ends="COMPLETED"),
    case("a robot in lists", on("harbor", ROBOTS, "nested"), ends="COMPLETED"),
    case("no secret in any answer", both(ROBOTS, RENEWALS, how="without secret")),
    case("a secret in lists in any answer", both(ROBOTS, RENEWALS, how="nested")),
    case("an upload refused, with an echo", on("harbor", UPLOADS, "echo 401")),
    case("an upload failed, with an echo", on("harbor", UPLOADS, "echo 500")),
    case("a Secret refused, with an echo", on("kubernetes", SECRETS, "echo 422")),
    case("a Secret failed, with an echo", on("kubernetes", SECRETS, "echo 500")),
    case("a compromised one's Secret refused", on("kubernetes", SECRETS, "echo 422"), COMPROMISED),
]


@pytest.mark.demand(
    "rotate",
    "no secret is left in Prefect's database, logs, artifacts or files, on failure paths too",
    "secrets",
    "forms",
    "findings",
)
def test_rotation_leaves_no_secret_behind(
    platform: LocalPlatform, tmp_path: Path, whole: bool
) -> None:
    """With `--whole`, this runs all cases, otherwise some."""
    chosen = CASES if whole else [CASES[0], CASES[2], *CASES[4::3]]

    with wide(platform, "rotate-robots"):
        session = run_all(platform, tmp_path, chosen)

    for case in chosen:
        run = session.runs[case.name]
        assert run["state_type"] == case.ends, (case.name, run["state"]["message"])
        assert (run["run_count"] > 1) == case.killed, case.name
    kinds = set(session.known.found.values())
    findings, _ = session.search()
    # Secrets of these kinds were sent, so the search could have found them.
    assert {"harbor secret", "harbor token", "harbor user and password"} <= kinds
    assert findings == []
