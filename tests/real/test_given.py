"""The suites restore given systems; here another sandbox takes the role of those systems."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest

from demo.processes import ROOT
from tenantry.connections import HarborAccount
from tenantry.sandbox import Sandbox
from tenantry.sandbox.harbor.users import sign_in
from tenantry.sandbox.keycloak.builtin import new_realm
from tests.real import lab_harbor
from tests.real.lab_harbor import LabHarbor
from tests.real.servers.given import PROVIDER, ready, remove_from_harbor
from tests.real.servers.processes import ServerError
from tests.sandbox.calls import Caller
from tests.support.addresses import GivenHarbor

pytestmark = pytest.mark.demand(
    "real",
    "suites and flows pass on systems that are given and in use, and leave them as they were",
)

# Counters and layers, which change with requests and are invisible: Harbor's next garbage collection
# removes such layers.
_UNSEEN = ("sessions", "sequences", "policies", "audit", "token_key")

# A login by a claim, and a migration of each kind that is undone, or ends.
LOGINS = (
    "administrator_of_the_external or same_id or (ids_back and returned) "
    "or (roll_back and (switched or returned))"
)


class Used:
    """Systems in use by others, with their projects, robots, groups, realms and namespaces."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._harbor, self._keycloak = sandbox.harbor, sandbox.keycloak
        self._kubernetes, self._requests = sandbox.kubernetes, sandbox.requests
        self.addresses = sandbox.addresses()
        self.address = sandbox.addresses()["harbor"]
        self.account = HarborAccount.model_validate(self.address)
        self.admin = Caller(*self.address.values())
        for project in ("team-demo", "team-shop", "team-one", "theirs"):
            self.fill(project)
        self.set(robot_name_prefix="bot+", banner_message="theirs")
        self._keycloak.realms["theirs"] = new_realm("theirs", {"enabled": True})
        self._keycloak.add_user("theirs", "alice", email="alice@lab.test", password="hush")
        for namespace in ("team-demo", "team-shop", "theirs"):
            metadata = {"name": namespace, "labels": {"owner": "them"}}
            self._kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            metadata = {"name": "theirs", "namespace": namespace}
            self._kubernetes.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        marks = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "one"}
        metadata = {"name": "team-one", "labels": marks}
        self._kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def fill(self, project: str) -> None:
        """Create a project with a robot and two member groups."""
        access = [{"resource": "repository", "action": "pull"}]
        permissions = [{"kind": "project", "namespace": project, "access": access}]
        robot = {"name": "ci", "level": "project", "duration": 30, "permissions": permissions}
        if project == "team-one":  # a team of another Tenantry installation
            robot["description"] = "Managed by Tenantry"
        self.admin.made("/projects", {"project_name": project, "storage_limit": 1_000_000})
        assert self.admin("POST", "/robots", json=robot).status_code == 201
        for group in (project, "all-teams-admin"):
            body = {"role_id": 2, "member_group": {"group_name": group, "group_type": 3}}
            answer = self.admin("POST", f"/projects/{project}/members", json=body)
            assert answer.status_code == 201

    def set(self, **settings: Any) -> None:
        """Change Harbor's configuration."""
        assert self.admin("PUT", "/configurations", json=settings).status_code == 200

    def add_user(self, name: str = "theirs", group: str = "theirs") -> None:
        """Create a user by a login through the provider."""
        sign_in(self._harbor, name, f"{name}@example.com", name, "https://idp.test", [group])

    def logins(self) -> int:
        """Return the number of successful logins through the provider."""
        requests = self._requests.log
        return sum("/c/oidc/callback" in each.target and each.status == 302 for each in requests)

    def holds(self) -> dict[str, Any]:
        """Return the state of Harbor, including secrets."""
        return {key: value for key, value in self._harbor.dump().items() if key not in _UNSEEN}

    def holds_elsewhere(self) -> dict[str, Any]:
        """Return the state of Keycloak and Kubernetes, without sessions and resource versions."""
        realms = self._keycloak.dump()["realms"]
        for realm in realms.values():
            del realm["sessions"], realm["private_key"]  # created with the realm's first token
        objects = {}
        for each in deepcopy(self._kubernetes.objects):
            metadata = each["metadata"]
            name = (each["kind"], metadata.get("namespace", ""), metadata["name"])
            for moved in ("resourceVersion", "managedFields", "uid", "creationTimestamp"):
                metadata.pop(moved, None)
            objects[name] = each
        return {"realms": realms, "objects": objects}

    def variables(self, *systems: str) -> dict[str, str]:
        """Return the environment variables that give these systems to the tests."""
        found = {
            f"TENANTRY_TEST_{system}_{name}".upper(): value
            for system in systems
            if system != "kubernetes"
            for name, value in self.addresses[system].items()
        }
        if "kubernetes" in systems:
            found["TENANTRY_TEST_KUBECONFIG"] = self.addresses["kubernetes"]["kubeconfig"]
        return found


@pytest.fixture
def used() -> Iterator[Used]:
    with Sandbox() as sandbox:
        yield Used(sandbox)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["oidc_auth", "db_auth"])
def test_the_suites_leave_a_given_harbor_as_they_found_it(used: Used, mode: str) -> None:
    """The conformance cases run, and for a Harbor that has to be prepared, also a flow."""
    chosen = "test_harbor_"
    if mode == "oidc_auth":
        used.add_user()
    else:
        used.set(auth_mode=mode, oidc_endpoint="")
        chosen += " or one_team_is_onboarded"
    before = used.holds()
    passes(chosen, used.variables("harbor"))
    assert used.holds() == before


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_suites_leave_a_given_keycloak_and_cluster_as_they_found_them(used: Used) -> None:
    used.add_user()
    harbor, elsewhere = used.holds(), used.holds_elsewhere()
    chosen = "test_keycloak_ or test_kubernetes_ or one_team_is_onboarded"
    passes(chosen, used.variables("harbor", "keycloak", "kubernetes"))
    assert used.holds() == harbor
    end = time.monotonic() + 30
    while used.holds_elsewhere() != elsewhere and time.monotonic() < end:
        time.sleep(0.2)  # namespaces take a while to go
    assert used.holds_elsewhere() == elsewhere


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(900)
def test_drift_detection_leaves_other_teams_alone(used: Used) -> None:
    before, elsewhere = used.holds(), used.holds_elsewhere()
    variables = used.variables("harbor", "keycloak", "kubernetes")
    passes("", variables, "tests/real/test_drift.py")
    assert used.holds() == before
    end = time.monotonic() + 30
    while used.holds_elsewhere() != elsewhere and time.monotonic() < end:
        time.sleep(0.2)  # namespaces take a while to go
    assert used.holds_elsewhere() == elsewhere


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(900)
def test_logins_leave_a_given_harbor_as_they_found_it_but_for_the_providers_secret(
    used: Used,
) -> None:
    """The cases are a login to the platform, and a migration of each kind with its roll back."""
    used.add_user()
    used.set(oidc_client_id="theirs", oidc_client_secret="theirs")
    before = used.holds()
    places = ("test_platform", "test_migration", "test_issuer_migration")
    cases = [f"tests/real/{place}.py" for place in places]
    variables = {**used.variables("harbor"), "TENANTRY_TEST_HARBOR_SIGN_ON": "true"}
    passes(LOGINS, variables, *cases)
    assert used.logins() >= 5 * 3 * 2, "five times three people or more, before and after"
    after = used.holds()
    for state in (before, after):
        del state["configuration"]["oidc_client_secret"]
    assert after == before


def passes(chosen: str, variables: dict[str, str], *places: str) -> None:
    """Assert that the chosen cases pass on the given systems."""
    cases = places or ("tests/conformance", "tests/e2e/test_onboarding.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", *cases, "-k", chosen],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_harbor_is_prepared_and_restored_despite_an_error(used: Used) -> None:
    used.set(auth_mode="db_auth", oidc_endpoint="", oidc_name="kept")
    before = used.holds()

    with suppress(ZeroDivisionError), ready(used.account):
        meanwhile = used.admin.json("/configurations")
        raise ZeroDivisionError

    assert meanwhile["auth_mode"]["value"] == "oidc_auth"
    assert meanwhile["oidc_endpoint"]["value"] == PROVIDER["oidc_endpoint"]
    assert meanwhile["oidc_name"]["value"] == "kept"
    assert used.holds() == before


def test_where_oidc_is_set_up_nothing_is_changed(used: Used) -> None:
    used.add_user()
    before = used.holds()

    with ready(used.account):
        assert used.holds() == before


def test_a_harbor_that_cannot_be_prepared_is_refused_with_a_remedy(used: Used) -> None:
    used.set(auth_mode="db_auth")
    used.add_user()

    with pytest.raises(ServerError) as refused, ready(used.account):
        pass

    message = str(refused.value)
    assert message.startswith("The Harbor of TENANTRY_TEST_HARBOR_URL can't be used: its auth_mode")
    assert "Set auth_mode to oidc_auth: that takes a Harbor without users" in message


def test_a_wrong_password_is_named(used: Used) -> None:
    wrong = used.account.model_copy(update={"username": "nobody"})

    with pytest.raises(ServerError, match="wrong user name or password for 'nobody'"), ready(wrong):
        pass


def test_only_objects_with_the_mark_are_removed(used: Used) -> None:
    before = used.holds()
    mark = "0123abcd"
    project = f"team-demo-{mark}"
    used.fill(project)
    body = {"name": f"sys-{mark}", "level": "system", "duration": -1}
    access = [{"resource": "repository", "action": "pull"}]
    permissions = [{"kind": "project", "namespace": "*", "access": access}]
    answer = used.admin("POST", "/robots", json={**body, "permissions": permissions})
    assert answer.status_code == 201

    remove_from_harbor(used.account, mark)

    assert used.holds() == before


@pytest.mark.parametrize("sign_on", [True, False])
def test_a_lab_uses_a_given_harbor_where_it_may_and_leaves_it_as_it_was(
    used: Used, sign_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_harbor, "_REMEMBERS", 0)
    used.set(oidc_client_id="theirs")
    before, mark = used.holds(), lab_harbor.new_mark()
    given = GivenHarbor.model_validate({**used.address, "sign_on": sign_on})

    with Sandbox() as sandbox:
        harbor = LabHarbor(sandbox, given)
        assert (harbor.url == used.account.url) is sign_on
        assert harbor.is_simulated is not sign_on
        harbor.forget_provider()
        harbor.set(oidc_client_id="ours", oidc_endpoint="http://idp.test")
        harbor.caller.made("/projects", {"project_name": f"team-{mark}"})
        for number in range(11 if sign_on else 0):  # more than one page of Harbor
            used.add_user(f"user{number:02}-{mark}", f"team-{mark}")
        assert (used.holds() != before) is sign_on
        harbor.close(mark)

    assert used.holds() == before
