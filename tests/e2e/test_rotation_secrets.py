"""No secret is left behind by rotation: not on failure paths, nor where answers tempt to repeat it."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from demo.processes import LocalPlatform
from tenantry.declared import load
from tenantry.onboarding import onboard
from tenantry.systems.systems import Systems
from tests.e2e.test_secrets import Case, Spoil, SpoiltSandbox, on, run_all
from tests.support.flow_harness import wide
from tests.support.harness import connections, write

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("platform"),
]

FORCED = {"force": True}
COMPROMISED = {"compromised": True, "ask": False, "reason": "leaked"}


def case(
    name: str, spoil: Spoil | None = None, asked: dict[str, Any] = FORCED, **more: Any
) -> Case:
    """A run of rotation on an onboarded team; answers are spoilt only from then on."""
    armed: list[Spoil] = []

    def spoiling(system: str, call: str) -> str | None:
        return armed[0](system, call) if armed else None

    def prepare(sandbox: SpoiltSandbox) -> None:
        with tempfile.TemporaryDirectory() as folder:
            state = load(write(Path(folder), {"name": "demo"}))
        with Systems(connections(sandbox), state) as systems:
            onboard(systems, state.teams["demo"])
        if spoil is not None:
            armed.append(spoil)
        more.get("prepare", lambda sandbox: None)(sandbox)

    told = {key: value for key, value in more.items() if key != "prepare"}
    return Case(name, spoiling, "rotate-robots", asked, prepare, **told)


def both(*starts: str, how: str) -> Spoil:
    """Spoils Harbor's answers to calls with either beginning."""
    spoils = [on("harbor", start, how) for start in starts]
    return lambda system, call: next(filter(None, (each(system, call) for each in spoils)), None)


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
    # The next try finds the robot and gives it another secret.
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


def test_rotation_leaves_no_secret_behind(
    platform: LocalPlatform, tmp_path: Path, whole: bool
) -> None:
    """Of all cases with `--whole`, of some if not."""
    chosen = CASES if whole else [CASES[0], CASES[2], *CASES[4::3]]

    with wide(platform, "rotate-robots"):
        session = run_all(platform, tmp_path, chosen)

    for case in chosen:
        run = session.runs[case.name]
        assert run["state_type"] == case.ends, (case.name, run["state"]["message"])
        assert (run["run_count"] > 1) == case.killed, case.name
    kinds = set(session.known.found.values())
    findings, _ = session.search()
    # ...of those that matter, some were there to be found.
    assert {"harbor secret", "harbor token", "harbor user and password"} <= kinds
    assert findings == []
