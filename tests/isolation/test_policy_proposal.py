"""The policy that `tenantry policy` prints accepts every declared state."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tenantry import declared
from tenantry.declared.merge import merge
from tenantry.declared.policy import Policy
from tenantry.declared.reading import Reading, gather
from tests.isolation.policy_attacks import ISOLATION, LIMIT, LIMITS, PLATFORM
from tests.support.harness import Data, admit, write

pytestmark = pytest.mark.demand("isolation", "`tenantry policy` proposes a policy")

ATTACKS = [attack.content for attack in (*ISOLATION.values(), *LIMIT.values())]
SETTINGS = [
    content for content in ATTACKS if content.keys() <= declared.TeamSettings.model_fields.keys()
]
HOST = "{name}.example.com"


def combined(contents: list[Data]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for content in contents:
        merged = merge(merged, copy.deepcopy(dict(content)))
    return merged


ADOPTS: tuple[Any, ...] = (
    "never",
    "if-identical",
    "yes",
    {"harbor": "yes"},
    {"harbor": "if-identical", "keycloak": "yes"},
)
"""Values of `adopt`: for all systems, and by system."""


@st.composite
def states(draw: st.DrawFn) -> tuple[Data, dict[str, Data]]:
    """Return a platform, and the files of its teams by file name, as in an installation."""
    limits = draw(st.sets(st.sampled_from(sorted(LIMITS)), max_size=4) | st.just(set(LIMITS)))
    profiles = {
        "plain": {},
        "gold": combined(draw(st.lists(st.sampled_from(SETTINGS), max_size=2))),
    }
    grant = {"teams": ["shop"], "reason": "before", "max_storage": "1Ti", "groups": ["finance"]}
    policy: dict[str, Any] = {"limits": {name: LIMITS[name] for name in limits}}
    if draw(st.booleans()):
        policy["grants"] = [grant]
    if draw(st.booleans()):
        policy["profiles"] = {"gold": {"teams": ["data"], "max_expiry_days": 400}}
    platform = {**PLATFORM, "profiles": profiles, "policy": policy}
    files: dict[str, Data] = {}
    for name in ("shop", "data", "eve"):
        content = combined(draw(st.lists(st.sampled_from(ATTACKS), max_size=4)))
        if draw(st.booleans()):
            content["profile"] = draw(st.sampled_from(sorted(profiles)))
        if draw(st.booleans()):
            content["adopt"] = draw(st.sampled_from(ADOPTS))
        if draw(st.booleans()):
            host = draw(st.sampled_from(["shop", "data", "m"]))
            web = {"redirect_uris": [f"https://{host}.example.com/cb"]}
            content = merge(content, {"oidc_clients": {"other": web}})
        file = draw(st.sampled_from([name, name, f"of-{name}"]))
        files[file] = {"name": name, **content}
    return platform, files


def put(folder: Path, platform: Data, files: dict[str, Data]) -> None:
    for path in (folder / "teams").glob("*.yaml"):
        path.unlink()
    write(folder, platform=platform)
    for file, content in files.items():
        write(folder, {**content, "name": file})
        path = folder / "teams" / f"{file}.yaml"
        path.write_text(path.read_text().replace(f"name: {file}\n", f"name: {content['name']}\n"))


def faulty_otherwise(reading: Reading) -> set[str]:
    """Return the files with faults that no policy can allow."""
    found = set()
    for file in reading.files:
        allowed = {file.document.fault(each.place, each.text) for each in file.violations}
        contested = {each.fault for each in file.contested}
        if not {*file.faults, *contested} <= allowed:
            found.add(file.name)
    return found


TWO_WITH_THE_REGISTRYS_HOST = (
    {"name": "Test", "harbor": {"registry": "registry.example.com"}},
    {
        file: {
            "name": file.removeprefix("of-"),
            "routes": {
                "web": {
                    "host": "registry.example.com",
                    "paths": [{"service": "front", "port": 80}],
                }
            },
        }
        for file in ("data", "of-eve")
    },
)


@example(state=TWO_WITH_THE_REGISTRYS_HOST)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(state=states())
def test_the_printed_policy_admits_any_declared_state(
    state: tuple[Data, dict[str, Data]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "proposed"
    folder.mkdir(exist_ok=True)
    put(folder, *state)
    otherwise = faulty_otherwise(gather(folder))

    admit(folder)

    after = declared.read(folder)
    # A claim that the policy rejects conflicts with no other, so a conflict can appear only now.
    left_out = {each.file for each in after.left_out if not each.contested}
    assert left_out <= otherwise, after.faults
    assert not [each for each in after.warnings if ": adopt: " in each]
    text = declared.propose_policy(folder)
    printed = YAML(typ="safe", pure=True).load(text)
    assert Policy.model_validate(printed["policy"]) == after.platform.policy, (
        "nothing is added again"
    )


def test_the_command_prints_each_grant_with_its_reason(tmp_path: Path) -> None:
    for name in ("shop", "web"):
        write(tmp_path, {"name": name, "namespace": {"pod_security": "privileged"}})
    write(tmp_path, {"name": "data", "group": "data\u200b-science", "adopt": "yes"})
    command = [sys.executable, "-m", "tenantry.cli", "policy", str(tmp_path)]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert YAML(typ="safe", pure=True).load(printed) == {
        "policy": {
            "grants": [
                {
                    "teams": ["data"],
                    "reason": "in use before the policy",
                    "groups": ["data\u200b-science"],
                    "adopt": "yes",
                },
                {
                    "teams": ["shop", "web"],
                    "reason": "in use before the policy",
                    "pod_security": "privileged",
                },
            ]
        }
    }
    assert "\u200b" not in printed
    assert declared.load(admit(tmp_path)).warnings == ()


def test_a_state_within_the_policy_needs_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"name": "shop"}, platform={**PLATFORM, "policy": {"limits": LIMITS}})
    printed = YAML(typ="safe", pure=True).load(declared.propose_policy(tmp_path))
    assert printed["policy"].keys() == {"limits"}
