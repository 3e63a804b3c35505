"""The platform's own resources: single sign-on, the realm, Harbor's settings and groups."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tenantry import declared
from tenantry.declared.merge import merge, plain
from tenantry.declared.parsing import parse
from tenantry.declared.rewriting import dump
from tenantry.importing import Imported, import_state, write
from tenantry.onboarding import configure
from tenantry.walk import observe_owners
from tests.lifecycle.prerequisites import create_namespace
from tests.support.harness import Bench, Prepare, admit, connections
from tests.support.harness import write as declare
from tests.support.unmark import remove_marks
from tests.systems.test_platform import whole

DECLARED = {
    "name": "test",
    "adopt": "yes",
    "harbor": {
        "single_sign_on": {"admin_group": "admins", "logout": False},
        "configuration": {"robot_token_duration": 90, "banner_message": "Maintenance on Sunday"},
    },
    "keycloak": {
        "realm_settings": {"session_idle_minutes": 45, "brute_force_protection": True},
        "groups": {"admins": {}, "auditors": {}},
    },
}


def configured(bench: Bench) -> None:
    """Configure the platform, and onboard a team."""
    declare(bench.folder, {"name": "shop"}, platform=DECLARED)
    bench.load()
    configure(bench.systems)
    bench.onboard("shop")


def with_everything(bench: Bench) -> None:
    """Configure a platform with an external provider, a Gateway, and Harbor in the mesh."""
    gateway = {"hosts": ["*.example.com"], "certificate": "wildcard"}
    mesh = {"gateways": {"istio-ingress/public": gateway}, "harbor": {"host": "r.example.com"}}
    for name in ("istio-ingress", "harbor"):
        create_namespace(bench.declare().systems, name)
    bench.declare({"name": "shop"}, platform={**whole(bench), "mesh": mesh, "adopt": "yes"})
    configure(bench.systems)
    bench.onboard("shop")


def unmarked(bench: Bench) -> None:
    """Configure the platform, onboard a team, and remove all marks."""
    configured(bench)
    remove_marks(bench.systems)


@pytest.mark.parametrize("prepare", [configured, unmarked], ids=["marks kept", "marks lost"])
def test_the_plan_of_the_platform_only_adopts(
    begin: Callable[[Prepare], Bench], prepare: Prepare, tmp_path: Path
) -> None:
    bench, folder = begin(prepare), tmp_path / "imported"
    found = import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)
    write(found, folder)

    harbor, keycloak = found.platform["harbor"], found.platform["keycloak"]
    assert harbor["configuration"] == DECLARED["harbor"]["configuration"]  # type: ignore[index]
    assert harbor["single_sign_on"]["admin_group"] == "admins"
    assert harbor["single_sign_on"]["logout"] is False
    assert keycloak["realm_settings"]["session_idle_minutes"] == 45
    assert "admins" in keycloak["groups"]
    secret = bench.sandbox.harbor.configuration["oidc_client_secret"]
    assert not any(secret in path.read_text() for path in folder.rglob("*.yaml"))

    bench.folder = admit(folder)
    bench.load()
    assert declared.load(folder).platform.is_managed
    plan = bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    )
    assert plan.only_adopts, plan
    assert bench.plan("shop").only_adopts


def test_settings_that_would_change_are_left_out(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(unmarked), tmp_path / "imported"
    for client in bench.systems.keycloak_client.pages("clients"):
        if client["clientId"] == "harbor":
            changed = {**client, "directAccessGrantsEnabled": True}
            bench.systems.keycloak_client.put(f"clients/{client['id']}", changed)

    found = import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)
    write(found, folder)

    assert "single_sign_on" not in found.platform.get("harbor", {})
    notes = [note.line for note in found.report.notes["platform.yaml"]]
    assert any("directAccessGrantsEnabled" in line for line in notes)
    assert "directAccessGrantsEnabled" in (folder / "platform.yaml").read_text()


def test_the_report_has_the_lines_that_the_file_of_declared_teams_lacks(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    """The declared teams depend on the file, so it stays as it is."""
    bench, folder = begin(unmarked), tmp_path / "other"
    text = "# ours\nname: test   # by hand\nharbor:\n  configuration: {banner_message: Hello}\n"
    declare(folder, {"name": "other"})
    file = folder / "platform.yaml"
    file.write_text(text)

    def imported() -> Imported:
        return import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)

    found = imported()
    write(found, folder)
    assert file.read_text() == text
    assert list(found.teams) == ["shop"]
    added = parse(found.report.additions).data
    assert added["harbor"]["configuration"] == {"robot_token_duration": 90}, "not the given banner"
    assert added["harbor"]["single_sign_on"]["admin_group"] == "admins"
    assert added["keycloak"]["realm_settings"]["session_idle_minutes"] == 45
    assert "robot_token_duration: 90" in "\n".join(found.report.lines())

    file.write_text(dump(merge(plain(parse(text).data), plain(added))))
    again = imported()
    assert again.report.additions == ""
    assert again.files == {}
    bench.folder = folder
    bench.state = declared.read(folder)
    with bench.process() as systems:
        plan = systems.plan_platform(
            observe_owners(systems.platform_adapters, [systems.state.platform])
        )
    changed = {str(each.id): each for each in plan.changes if not each.writes_only_marks}
    assert list(changed) == ["harbor/configuration/settings"], "the banner of the file"


def test_the_provider_the_gateway_and_harbor_in_the_mesh(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(with_everything), tmp_path / "imported"
    before = bench.state.platform
    found = import_state(
        connections(bench.sandbox), into=folder, realm="main", clock=bench.sandbox.clock.now
    )
    write(found, folder)

    after = declared.load(admit(folder)).platform
    assert after.keycloak.external_providers == before.keycloak.external_providers
    assert after.keycloak.groups == before.keycloak.groups
    assert after.mesh.gateways == before.mesh.gateways
    assert after.mesh.harbor is not None
    assert after.mesh.harbor.host == "r.example.com"
    assert not any("the provider's" in path.read_text() for path in folder.rglob("*.yaml"))
    bench.folder = folder
    bench.load()
    plan = bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    )
    assert plan.only_adopts, plan
    assert bench.plan("shop").only_adopts


def test_what_the_account_may_not_read_is_not_declared(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench = begin(with_everything)
    forbidden = ("gateways", "peerauthentications", "users/profile")

    def fault(system: str, method: str, path: str) -> int | None:
        return 403 if any(path.split("?")[0].endswith(each) for each in forbidden) else None

    bench.sandbox.fault_for = fault
    found = import_state(
        connections(bench.sandbox), into=tmp_path, realm="main", clock=bench.sandbox.clock.now
    )
    assert "mesh" not in found.platform
    assert set(found.teams) == {"shop"}
    notes = [note.line for note in found.report.notes["platform.yaml"]]
    assert sum("may not list" in line or "cannot be read" in line for line in notes) >= 3
