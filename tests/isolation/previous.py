"""Installations of the previous release: their content of the systems, recorded and loaded again.

    python -m tests.isolation.previous COMMIT

runs the code of that commit on sandboxes, and writes the declared state and the content of the systems
to `previous/<installation>.json`. Run it with the commit of a release before you change the content of
the systems. The tests load these files, because a clone without history has no older code.
"""

import base64
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from demo.processes import ROOT
from tenantry.sandbox import Sandbox
from tests.drift.extras import provider
from tests.isolation.town import (
    call_keycloak,
    put,
)
from tests.support.harness import REALM, Data, FaultySandbox, environment, prepare, write

FOLDER = Path(__file__).parent / "previous"
SYSTEMS = ("harbor", "keycloak", "kubernetes")
ROBOT: Data = {"expiry_days": 90, "rotation": {"max_age_days": 80}}
PLATFORM: Data = {
    "name": "Test platform",
    "harbor": {
        "registry": "registry.example.com",
        "single_sign_on": {"admin_group": "platform-admins"},
    },
    "keycloak": {
        "groups": {"platform-admins": {}, "auditors": {}},
        "external_providers": {"corp": {"group_name": "k8s-{group}"}},
    },
    "mesh": {"gateway": "istio-ingress/public", "harbor": {"host": "registry.example.com"}},
    "defaults": {"harbor": {"groups": {"all-teams-admin": "projectAdmin"}}},
}
SHOP: Data = {
    "name": "shop",
    "members": ["ann", "bob"],
    "external_groups": {"corp": ["shop-people"]},
    "harbor": {
        "storage_quota": "10Gi",
        "groups": {"auditors": "guest"},
        "retention": {"rules": [{"latest_pushed": 5}], "schedule": "0 3 * * *"},
        "immutable_tags": [{"tags": "v*"}],
    },
    "namespace": {
        "labels": {"example.com/cost-centre": "4711"},
        "quota": {"pods": 50},
        "limits": {"default": {"memory": "512Mi"}},
        "network": {"policies": {"allow-metrics": {"ingress": [{"ports": [{"port": 9090}]}]}}},
    },
    "further_namespaces": {"jobs": {}},
    "robots": {
        "pull": {
            **ROBOT,
            "sinks": [{"namespace": "team-shop", "name": "login", "format": "basic"}],
        },
        "ci": ROBOT,
    },
    "oidc_clients": {
        "web": {"redirect_uris": ["https://shop.example.com/cb"]},
        "spa": {"redirect_uris": ["https://spa.example.com/"], "public": True},
    },
    "routes": {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}},
}
ADOPTER: Data = {"name": "old", "adopt": "yes", "robots": {"pull": ROBOT, "ci": None}}
"""A team whose namespace, project and group existed before, and were adopted."""
GONE: Data = {"name": "gone", "robots": {"pull": ROBOT, "ci": None}}
BOLD: Data = {
    "name": "bold",
    "group": "finance",
    "namespace": {"pod_security": "privileged", "cluster_role": "edit"},
    "harbor": {"role": "projectAdmin"},
    "robots": {
        "pull": {**ROBOT, "sinks": [{"namespace": "pipelines", "name": "harbor-{team}"}]},
        "ci": None,
    },
    "routes": {"all": {"host": "*.bold.example.com", "paths": [{"service": "web", "port": 80}]}},
}
"""A team that declares values which the policy rejects."""
INSTALLATIONS: dict[str, tuple[Data, ...]] = {"plain": (SHOP, ADOPTER), "bold": (SHOP, BOLD)}
REMOVED: dict[str, tuple[Data, ...]] = {"plain": (GONE,), "bold": ()}
"""Teams that are no longer declared at the end."""

DRIVER = """
import datetime, pathlib, sys
from tenantry import declared, onboarding
from tenantry.connections import Connections
from tenantry.rotation import RotationRequest, rotate
from tenantry.systems.systems import Systems

class Alone:
    def __enter__(self): pass
    def __exit__(self, *_): pass
    def check(self): pass

hours, rotated = float(sys.argv[2]), sys.argv[3:]
now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
state = declared.load(pathlib.Path(sys.argv[1]))
with Systems(Connections(), state, clock=lambda: now) as systems:
    for team in state.teams.values():
        onboarding.onboard(systems, team)
    if rotated:
        rotate(systems, [state.teams[name] for name in rotated], RotationRequest(now, force=True), now, Alone())
    found = rotate(systems, list(state.teams.values()), RotationRequest(now), now, Alone())
    assert not [each.error for each in found if each.error], found
"""
"""A program that runs the previous release. It does not configure the platform, because that release
cannot read the configuration of Harbor 2.15.2."""


# Recording


def record(commit: str) -> None:
    """Run the code of a commit on sandboxes, and write the content of the systems."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
        )
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(code, filter="data")
        for name in INSTALLATIONS:
            with prepare(FaultySandbox().__enter__()) as sandbox:
                _install(sandbox, name, code, Path(folder) / name)
                _save(sandbox, name, commit)


def _install(sandbox: Sandbox, name: str, code: Path, state: Path) -> None:
    for user in ("ann", "bob"):
        sandbox.keycloak.add_user(REALM, user)
    for namespace in ("harbor", "istio-ingress", "pipelines", "team-old"):
        put(sandbox, "Namespace", namespace)
    call_keycloak(sandbox, "identity-provider/instances", provider("corp"))
    call_keycloak(sandbox, "groups", {"name": "team-old"})

    def run(hours: float, *rotated: str) -> None:
        command = [sys.executable, "-c", DRIVER, str(state), str(hours), *rotated]
        subprocess.run(command, cwd=code, check=True, env={"PATH": "", **environment(sandbox)})

    write(state, *INSTALLATIONS[name], *REMOVED[name], platform=PLATFORM)
    run(0)
    run(0, "shop")
    for team in REMOVED[name]:
        (state / "teams" / f"{team['name']}.yaml").unlink()
    sandbox.clock.move(timedelta(hours=30).total_seconds())
    run(30)


def _save(sandbox: Sandbox, name: str, commit: str) -> None:
    content_of = {system: getattr(sandbox, system).dump() for system in SYSTEMS}
    content_of["harbor"] |= {"sessions": {}, "token_key": ""}
    for realm in content_of["keycloak"]["realms"].values():
        realm |= {"sessions": {}, "session_claims": {}, "private_key": None}
    _change_secrets(content_of, lambda data: base64.b64decode(data).decode())
    text = json.dumps(
        {"release": commit, "time": sandbox.clock.now().isoformat(), **content_of},
        indent=1,
        ensure_ascii=False,
    )
    for system, url in _addresses(sandbox).items():
        text = text.replace(url, f"{{{system}}}").replace(
            url.partition("://")[2], f"{{{system} host}}"
        )
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(text + "\n")


def _change_secrets(content_of: Mapping[str, Any], change: Callable[[str], str]) -> None:
    for found in content_of["kubernetes"]["objects"]:
        if found["kind"] == "Secret":
            found["data"] = {k: change(v) for k, v in found.get("data", {}).items()}


def _addresses(sandbox: Sandbox) -> dict[str, str]:
    return {system: sandbox.addresses()[system]["url"] for system in SYSTEMS}


# Loading


@contextmanager
def installed(name: str, folder: Path, platform: Data = PLATFORM) -> Iterator[FaultySandbox]:
    """Yield a sandbox with an installation of the previous release, at the time of its recording.

    Args:
        name: the installation.
        folder: the folder for its declared state.
        platform: the content of `platform.yaml`.
    """
    with FaultySandbox() as sandbox:
        prepare(sandbox)
        text = (FOLDER / f"{name}.json").read_text()
        for system, url in _addresses(sandbox).items():
            text = text.replace(f"{{{system}}}", url)
            text = text.replace(f"{{{system} host}}", url.partition("://")[2])
        content_of = json.loads(text)
        _change_secrets(content_of, lambda data: base64.b64encode(data.encode()).decode())
        keys = {name: realm.private_key for name, realm in sandbox.keycloak.realms.items()}
        content_of["harbor"]["token_key"] = sandbox.harbor.state.token_key
        for realm, content in content_of["keycloak"]["realms"].items():
            content["private_key"] = keys.get(realm)
        for system in SYSTEMS:
            getattr(sandbox, system).load(content_of[system])
        ahead = datetime.fromisoformat(content_of["time"]) - sandbox.clock.now()
        sandbox.clock.move(ahead.total_seconds())
        write(folder, *INSTALLATIONS[name], platform=platform)
        yield sandbox


if __name__ == "__main__":
    record(sys.argv[1])
