"""The command line: exit statuses, output, and no traceback for a user's mistake."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tenantry import checks
from tenantry.commands import exit_status as statuses
from tenantry.onboarding import configure
from tenantry.sandbox import Sandbox
from tests.support.command_line import Run
from tests.support.harness import PLATFORM, SHOP, Bench, environment, write

# validate


def test_validate_reports_a_valid_state(run: Run, tmp_path: Path) -> None:
    status, out, err = run("validate", write(tmp_path, SHOP, {"name": "data"}))
    assert (status, err) == (0, "")
    assert out == f"{tmp_path}: 2 teams and the platform are valid.\n"


def test_validate_prints_a_line_for_each_fault(run: Run, tmp_path: Path) -> None:
    write(tmp_path, "name: Shop\nharbor:\n  role: owner\n")
    status, out, err = run("validate", tmp_path)
    assert (status, out) == (1, "")
    name, role = err.splitlines()
    assert name.startswith("teams/team-0.yaml:1: name: 'Shop': ")
    assert role.startswith("teams/team-0.yaml:3: harbor.role: 'owner': ")


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_missing_folder_is_named(command: str, run: Run, tmp_path: Path) -> None:
    status, out, err = run(command, tmp_path / "none")
    assert (status, out, err) == (1, "", f"{tmp_path / 'none'}: is not a folder\n")


# plan


def test_plan_tells_changes_by_status_2_and_nothing_to_do_by_0(bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox)
    status, out, err = run("plan", bench.folder, **variables)
    assert (status, err) == (2, "")
    assert "+ create" in out
    assert "harbor/project/team-shop" in out
    assert out.endswith(" to create.\n")
    assert bench.sandbox.requests.writes() == 0
    bench.onboard()
    status, out, err = run("plan", bench.folder, **variables)
    assert (status, out, err) == (0, "Team shop: in sync\n\n1 team: in sync.\n", "")


def test_plan_prints_json_for_programs(bench: Bench, run: Run) -> None:
    bench.declare(SHOP, {"name": "data"}).onboard("data")
    status, out, _ = run("plan", bench.folder, "--json", **environment(bench.sandbox))
    data, shop = json.loads(out)
    assert status == 2
    nothing: dict[str, list] = {
        "changes": [],
        "refused": [],
        "waiting": [],
        "no_longer_declared": [],
    }
    assert data == {"team": "data", **nothing}
    project = next(change for change in shop["changes"] if change["kind"] == "project")
    assert project == {
        "action": "create",
        "system": "harbor",
        "kind": "project",
        "key": "team-shop",
        "recreates": False,
        "differences": [{"field": "public", "old": None, "new": False}],
    }


def test_plan_can_be_for_some_teams_only(bench: Bench, run: Run) -> None:
    bench.declare(SHOP, {"name": "data"}, {"name": "jobs"})
    names = ("--team", "shop", "--team", "data", "--json")
    _, out, _ = run("plan", bench.folder, *names, **environment(bench.sandbox))
    assert [plan["team"] for plan in json.loads(out)] == ["shop", "data"]


def test_plan_fails_for_refused_changes(bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    bench.systems.harbor_client.post("/projects", {"project_name": "team-shop"})
    variables = environment(bench.sandbox)
    status, out, _ = run("plan", bench.folder, **variables)
    assert status == 1
    assert "! refused" in out
    assert "1 refused." in out
    status, out, _ = run("plan", bench.folder, "--json", **variables)
    assert status == 1
    (refusal,) = json.loads(out)[0]["refused"]
    assert refusal["resource"] == "harbor/project/team-shop"
    assert refusal["reason"].startswith("it exists and Tenantry did not create it")


def test_plan_fails_for_unreadable_teams_and_plans_the_rest(bench: Bench, run: Run) -> None:
    bench.declare(SHOP, {"name": "data"}).onboard("data")
    number = bench.sandbox.harbor.projects["team-data"].id
    path = f"/api/v2.0/projects/{number}/summary"
    bench.sandbox.fault_for = lambda system, method, asked: 500 if asked == path else None
    status, out, _ = run("plan", bench.folder, **environment(bench.sandbox))
    assert status == 1
    assert f"Team data: cannot be read: Harbor: GET {path} answered 500" in out
    assert "; 1 team could not be read." in out
    assert "harbor/project/team-shop" in out


def test_an_unknown_team_is_named_with_the_known_ones(bench: Bench, run: Run) -> None:
    bench.declare(SHOP, {"name": "data"})
    status, out, err = run("plan", bench.folder, "--team", "shpo")
    assert (status, out) == (1, "")
    assert err == "team 'shpo' is not declared; declared: data, shop\n"


def test_missing_variables_are_named_all_at_once(run: Run, tmp_path: Path) -> None:
    status, out, err = run("plan", write(tmp_path, SHOP))
    assert (status, out) == (1, "")
    missing = "are not set; give it here, or in a context of "
    assert [line.partition(missing)[0] for line in err.splitlines()] == [
        "TENANTRY_HARBOR_URL and _PASSWORD: ",
        "TENANTRY_KEYCLOAK_URL and _PASSWORD: ",
    ]


def test_a_missing_password_and_a_faulty_address_are_named(
    sandbox: Sandbox, run: Run, tmp_path: Path
) -> None:
    variables = environment(sandbox)
    del variables["TENANTRY_HARBOR_PASSWORD"]
    variables["TENANTRY_KEYCLOAK_URL"] = "keycloak.example.com"
    status, _, err = run("plan", write(tmp_path, SHOP), **variables)
    assert status == 1
    password, address = err.splitlines()
    assert password.startswith(
        "TENANTRY_HARBOR_PASSWORD: is not set; give it here, or in a context"
    )
    assert address.startswith("TENANTRY_KEYCLOAK_URL: ")
    assert "begins with http:// or https://" in address


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("HARBOR", "Harbor: POST /c/login answered 401: wrong user name or password for 'admin'"),
        ("KEYCLOAK", "Invalid user credentials"),
    ],
)
def test_a_wrong_password_is_reported_and_not_shown(
    system: str, message: str, bench: Bench, run: Run
) -> None:
    bench.declare(SHOP)
    bench.sandbox.harbor.login_delay = 1.2
    variables = environment(bench.sandbox) | {f"TENANTRY_{system}_PASSWORD": "Wrong12345"}
    status, out, err = run("plan", bench.folder, **variables)
    assert (status, out) == (1, "")
    assert message in err
    assert "Wrong12345" not in err


@pytest.mark.parametrize("system", ["HARBOR", "KEYCLOAK"])
def test_a_server_that_is_down_is_reported(system: str, bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox) | {f"TENANTRY_{system}_URL": "http://127.0.0.1:9"}
    status, out, err = run("plan", bench.folder, **variables)
    assert (status, out) == (1, "")
    assert err.startswith(f"{system.capitalize()}: ")
    assert "no answer" in err


@pytest.mark.parametrize("config", [None, "/nowhere/config"])
def test_a_missing_cluster_is_reported(config: str | None, bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox)
    del variables["TENANTRY_KUBERNETES_KUBECONFIG"]
    if config:
        variables["TENANTRY_KUBERNETES_KUBECONFIG"] = config
    status, out, err = run("plan", bench.folder, **variables)
    assert (status, out) == (1, "")
    assert err.startswith("Kubernetes: ")
    assert "kubeconfig" in err


def test_a_missing_realm_is_reported(bench: Bench, run: Run) -> None:
    bench.declare(SHOP, platform={"keycloak": {"realm": "none"}})
    status, _, err = run("plan", bench.folder, **environment(bench.sandbox))
    assert status == 1
    assert "there is no realm 'none'" in err


# sandbox


def test_the_sandbox_prints_its_addresses_serves_and_stops_at_a_signal(tmp_path: Path) -> None:
    """It also runs `plan` on the sandbox, as a new user does."""
    command = [sys.executable, "-m", "tenantry.cli"]
    process = subprocess.Popen(
        [*command, "sandbox", "--state", tmp_path / "kept"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert addresses.keys() == {"harbor", "keycloak", "kubernetes", "controls"}
        for system in ("harbor", "keycloak"):
            assert addresses[system].keys() == {"url", "username", "password"}
        assert Path(addresses["kubernetes"]["kubeconfig"]).is_file()
        variables = {
            f"TENANTRY_{system}_{key}".upper(): value
            for system, address in addresses.items()
            for key, value in address.items()
        }
        platform = {"keycloak": {"realm": "master"}}
        state = write(tmp_path / "state", SHOP, platform=platform)
        planned = subprocess.run(
            [*command, "plan", state, "--json"],
            env={**os.environ, **variables},
            capture_output=True,
            check=False,
            text=True,
        )
        assert (planned.returncode, planned.stderr) == (2, "")
        assert json.loads(planned.stdout)[0]["team"] == "shop"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "kept" / "harbor.json").is_file()


def test_without_its_extra_the_sandbox_explains_how_to_install_it(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(starlette=None, uvicorn=None); "
    command = [sys.executable, "-c", blocked + "from tenantry.cli import main; main()"]

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, check=False, text=True
        )

    refused = run("sandbox")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("The sandbox needs the package '")
    assert "'uv sync --extra sandbox'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    other = run("validate", write(tmp_path, SHOP))
    assert (other.returncode, other.stderr) == (0, "")


@pytest.mark.parametrize("system", ["HARBOR", "KEYCLOAK"])
def test_certificates_are_verified_by_default(
    system: str, bench: Bench, run: Run, tmp_path: Path
) -> None:
    folder = write(tmp_path / "declared", SHOP)
    variables = environment(bench.sandbox)
    missing = {f"TENANTRY_{system}_VERIFY": str(tmp_path / "nowhere.pem")}
    refused, _, err = run("plan", folder, **variables | missing)
    planned, _, _ = run("plan", folder, **variables | {f"TENANTRY_{system}_VERIFY": "false"})
    assert refused == 1
    assert f"TENANTRY_{system}_VERIFY: no CA bundle exists at" in err
    assert planned == 2


# drift


@pytest.fixture
def drifting(bench: Bench) -> Bench:
    """Return an onboarded team whose project was made public by hand."""
    bench.declare(SHOP).onboard()
    bench.sandbox.harbor.projects["team-shop"].metadata["public"] = "true"
    return bench


def test_drift_reports_that_all_is_in_sync(run: Run, bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    before = bench.sandbox.requests.writes()
    status, out, err = run("drift", bench.folder, **environment(bench.sandbox))

    assert (status, err) == (0, "")
    assert out.splitlines()[-1].endswith(": in sync.")
    assert bench.sandbox.requests.writes() == before


def test_drift_shows_each_finding_and_exits_2(run: Run, drifting: Bench) -> None:
    status, out, err = run("drift", drifting.folder, **environment(drifting.sandbox))

    assert (status, err) == (2, "")
    assert "harbor/project/team-shop" in out
    assert "public: true → false" in out


def test_an_unreadable_part_exits_with_3_even_with_drift(run: Run, drifting: Bench) -> None:
    drifting.sandbox.fault_for = lambda system, method, path: 403 if system == "keycloak" else None
    status, out, err = run("drift", drifting.folder, **environment(drifting.sandbox))

    assert (status, err) == (3, "")
    assert "keycloak/*/*" in out
    assert "harbor/project/team-shop" in out


@pytest.mark.parametrize("form", ["json", "csv", "html", "sarif"])
def test_drift_writes_each_form_to_a_file(
    form: str, run: Run, drifting: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "report"
    status, out, err = run(
        *("drift", drifting.folder, "--format", form, "--output", file),
        **environment(drifting.sandbox),
    )

    assert (status, out, err) == (2, "", "")
    assert "team-shop" in file.read_text()


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@pytest.mark.parametrize("form", ["table", "json", "csv", "html", "sarif"])
def test_crash_none_where_the_report_fills_the_disk(form: str, run: Run, drifting: Bench) -> None:
    status, out, err = run(
        *("drift", drifting.folder, "--format", form, "--output", "/dev/full"),
        **environment(drifting.sandbox),
    )
    assert (status, out) == (1, "")
    assert err == (
        "--output: cannot write the report to /dev/full: No space left on device. Free disk space "
        "or choose another file, and run the command again.\n"
    )


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@pytest.mark.parametrize(
    ("redirection", "message"),
    [("> /dev/full", "the output: No space left on device.\n"), ("| true", "")],
)
def test_crash_none_where_the_output_can_go_nowhere(
    redirection: str, message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, SHOP)
    command = f"{sys.executable} -m tenantry.cli validate {folder} {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, text=True)
    assert done.stdout == ""
    assert done.stderr == message or (not message and done.stderr == "the output: Broken pipe.\n")
    assert done.returncode == (1 if message else 0)


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
def test_crash_none_for_an_error_that_no_rule_foresaw(run: Run, tmp_path: Path) -> None:
    with mock.patch("tenantry.commands.validate.declared.read", side_effect=KeyError("secret")):
        status, out, err = run("validate", write(tmp_path, SHOP))
    assert (status, out) == (1, "")
    assert err.startswith("KeyError while running this command (at ")
    assert "secret" not in err
    assert "Traceback" not in err


def test_drift_keeps_a_history_from_run_to_run(run: Run, drifting: Bench, tmp_path: Path) -> None:
    arguments = ("drift", drifting.folder, "--format", "json", "--history", tmp_path / "seen")
    variables = environment(drifting.sandbox)
    _, first, _ = run(*arguments, **variables)
    _, second, _ = run(*arguments, **variables)
    since = [json.loads(text)["findings"][0]["open_since"] for text in (first, second)]
    drifting.onboard()
    status, _, _ = run(*arguments, **variables)

    assert since[0] == since[1]
    assert status == 0
    assert len((tmp_path / "seen" / "runs.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--team", "nobody"), "team 'nobody' is not declared; declared: shop"),
        (("--system", "gitlab"), "--system: 'gitlab': must be one of kubernetes, keycloak"),
        (("--output", "/nowhere/at/all"), "--output: folder /nowhere/at"),
        (("--output", "."), "--output: . is a folder; give the path of a file"),
    ],
)
def test_an_invalid_option_of_drift_is_reported_before_any_call(
    options: tuple[str, ...], message: str, run: Run, bench: Bench
) -> None:
    bench.declare(SHOP)
    before = bench.sandbox.requests.total()
    status, out, err = run("drift", bench.folder, *options, **environment(bench.sandbox))

    assert (status, out) == (1, "")
    assert message in err
    assert bench.sandbox.requests.total() == before


def test_a_damaged_history_is_reported_before_any_call(
    run: Run, bench: Bench, tmp_path: Path
) -> None:
    bench.declare(SHOP)
    (tmp_path / "runs.csv").write_text("rubbish")
    before = bench.sandbox.requests.total()
    status, _, err = run("drift", bench.folder, "--history", tmp_path, **environment(bench.sandbox))

    assert status == 1
    assert err.startswith("The history is damaged: runs.csv")
    assert bench.sandbox.requests.total() == before


def test_plan_shows_the_platform_before_its_teams(run: Run, bench: Bench) -> None:
    bench.declare(SHOP, platform={"name": "x", "harbor": {"single_sign_on": {}}})
    status, out, err = run("plan", bench.folder, **environment(bench.sandbox))
    assert (status, err) == (statuses.CHANGES, "")
    assert out.index("Platform") < out.index("Team shop")
    assert "harbor/configuration/single sign-on" in out
    assert "The platform and 1 team: " in out

    status, out, err = run("plan", bench.folder, "--team", "shop", **environment(bench.sandbox))
    assert "Platform" not in out


def test_check_shows_cause_and_remedy_and_exits_with_2(run: Run, bench: Bench) -> None:
    bench.declare(SHOP, platform={**PLATFORM, "harbor": {"single_sign_on": {}}})
    configure(bench.systems)
    bench.onboard()
    status, out, err = run("check", bench.folder, **environment(bench.sandbox))
    assert (status, out, err) == (0, f"1 team, {len(checks.CHECKS)} checks: passed.\n", "")

    bench.sandbox.harbor.configuration["robot_name_prefix"] = "bot$"
    status, out, err = run("check", bench.folder, "--format", "json", **environment(bench.sandbox))
    assert (status, err) == (statuses.FOUND, "")
    first, second = json.loads(out)["findings"]
    assert first["check"] == second["check"] == "robot prefix"
    assert "onboard the team again" in first["advice"]
    assert first["location"]["file"] == "teams/shop.yaml"


def test_a_system_that_is_down_is_one_message_without_the_noise_of_retries(bench: Bench) -> None:
    """It needs its own process, because pytest's log handlers hide output to stderr."""
    bench.declare(SHOP)
    dead = environment(bench.sandbox) | {"TENANTRY_HARBOR_URL": "http://127.0.0.1:9"}

    done = subprocess.run(
        [sys.executable, "-m", "tenantry.cli", "plan", str(bench.folder)],
        env={**os.environ, **dead},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (statuses.FAILED, "")
    assert done.stderr == "Harbor: POST /c/login: no answer (ConnectError)\n"
