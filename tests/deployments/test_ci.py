"""The CI jobs that start onboarding, and the project's own `.ci/run`: the docs show what they do."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.demand(
    "robust", "the flows on a Git repository, and the CI step that triggers them on a push"
)

ROOT = Path(__file__).parents[2]
CI = ROOT / "deployments" / "ci"
JOBS = sorted(CI.glob("*.yml"))


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_the_job_is_shown_as_it_is(job: Path) -> None:
    shown = re.findall(
        r"^```yml\n(.*?)^```$", (ROOT / "docs" / "git.md").read_text(), re.DOTALL | re.MULTILINE
    )

    assert job.read_text() in shown
    assert len(shown) == len(JOBS)


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(CI / name)


def test_the_jobs_call_the_script_with_the_commit_that_was_pushed() -> None:
    (github,) = (step for step in load("github.yml")["jobs"]["onboard"]["steps"] if "run" in step)
    (gitlab,) = load("gitlab.yml")["onboard"]["script"]

    assert github["run"] == 'sh trigger-onboarding.sh "$GITHUB_SHA"'
    assert gitlab == 'sh trigger-onboarding.sh "$CI_COMMIT_SHA"'
    assert set(github["env"]) == {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING"}


def test_the_script_names_each_variable_that_it_reads() -> None:
    script = (CI / "trigger-onboarding.sh").read_text()
    head, _, rest = script.partition("\nset -eu\n")

    assert set(re.findall(r"\$\{([A-Z_]+)", rest)) == set(
        re.findall(r"^#   ([A-Z_]+) {2,}", head, re.MULTILINE)
    )


def test_the_page_names_each_package_that_ci_installs_and_each_target_that_it_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    page = (ROOT / "docs" / "testing.md").read_text()
    ci = page.partition("## What CI runs")[2].partition("\n## ")[0]
    packages = re.findall(r"needed\+=\(([\w.-]+)\)", script)
    targets = re.findall(r"^make ([\w-]+)", script, re.MULTILINE)

    assert {"openssh-client", "openssl", "curl", "jq", "postgresql"} <= set(packages)
    assert [package for package in packages if f"`{package}`" not in ci] == []
    assert [target for target in targets if f"`make {target}" not in ci] == []
