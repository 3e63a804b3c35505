"""Detection of drift: what counts as drift, what does not, and how unreadable parts are reported."""

import base64
import random
import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tenantry import declared, drift
from tenantry.declared import Team
from tenantry.drift.findings import SYSTEMS, Finding, SystemName
from tenantry.errors import SystemUnavailable
from tenantry.locks import NoLock
from tenantry.onboarding import configure
from tenantry.plan import Plan
from tenantry.sandbox import Sandbox
from tests.drift.catalogue import findings_of
from tests.drift.watch import DATA, SHOP, Watched, remediate, remediate_under_lock
from tests.support.harness import PLATFORM, Data, FaultySandbox, write
from tests.support.narrowing import present

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def put(watched: Watched, kind: str, name: str, **content: Any) -> None:
    versions = {
        "Secret": "v1",
        "ConfigMap": "v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "RoleBinding": "rbac.authorization.k8s.io/v1",
        "VirtualService": "networking.istio.io/v1",
    }
    metadata = {"name": name, "namespace": "team-shop"}
    head = {"apiVersion": versions[kind], "kind": kind, "metadata": metadata}
    watched.sandbox.kubernetes.put({**head, **content})


def one(watched: Watched, **options: Any) -> Finding:
    (finding,) = watched.report(**options).findings
    return finding


def robot_of(watched: Watched, name: str) -> Any:
    project = watched.sandbox.harbor.projects["team-shop"].id
    robots = watched.sandbox.harbor.robots.values()
    return next(each for each in robots if (each.name, each.project_id) == (name, project))


# No false alarm


def test_another_order_in_answers_is_not_drift(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(pages: Any) -> Any:
        def shuffle(*args: Any, **options: Any) -> Any:
            found = [_shuffled(each) for each in pages(*args, **options)]
            random.Random(7).shuffle(found)
            return found

        return shuffle

    for client in (watched.systems.harbor_client, watched.systems.keycloak_client):
        monkeypatch.setattr(client, "pages", shuffled(client.pages))

    assert findings_of(watched.report()) == set()


def _shuffled(value: Any) -> Any:
    """Return the same value, with unordered parts in another order."""
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(list(value))}
    sets = isinstance(value, list) and (not value or isinstance(value[0], dict | str))
    return [_shuffled(each) for each in reversed(value)] if sets else value


def test_a_restart_of_the_systems_is_not_drift(watched: Watched) -> None:
    held = {
        name: getattr(watched.sandbox, name).dump() for name in ("harbor", "keycloak", "kubernetes")
    }
    again: Sandbox = FaultySandbox()
    with again:
        registry = watched.sandbox.harbor.ext_endpoint
        for name, state in held.items():
            getattr(again, name).load(state)
        again.harbor.ext_endpoint = registry
        watched.sandbox = again  # type: ignore[assignment]
        watched.watch()
        findings = findings_of(watched.report())

    # The sandbox's Keycloak now has another port, so the Secrets with its address differ.
    assert findings <= {f"broken kubernetes/Secret/team-shop/oidc-{c}" for c in ("web", "spa")}


def test_a_teams_own_objects_are_never_findings(watched: Watched) -> None:
    put(watched, "Secret", "theirs", data={"key": "eA=="})
    put(watched, "ConfigMap", "theirs", data={"key": "x"})
    put(watched, "NetworkPolicy", "theirs", spec={"podSelector": {}, "policyTypes": ["Ingress"]})
    put(watched, "VirtualService", "theirs", spec={"hosts": ["theirs"], "http": []})

    assert findings_of(watched.report()) == set()


@pytest.mark.demand(
    "platform", "changes to the platform's own resources are reported as drift and remediated"
)
def test_platform_resources_are_neither_extras_nor_a_teams(watched: Watched) -> None:
    platform = {
        **PLATFORM,
        "harbor": {"single_sign_on": {"admin_group": "platform-admins"}},
        "keycloak": {
            "realm_settings": {"access_token_minutes": 5},
            "groups": {"platform-admins": {"external_groups": {"corp": ["Admins"]}}},
            "external_providers": {"corp": {"group_name": "k8s-{group}"}},
        },
        "mesh": {"harbor": {"host": "registry.example.com"}},
        "adopt": "yes",
    }
    watched.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "harbor"}}
    )
    watched.declare(SHOP, DATA, platform=platform)
    configure(watched.systems)
    watched.watch()

    assert findings_of(watched.report()) == set()

    # Changes are reported and remediated; resources that are no longer declared stay.
    sandbox, realm = watched.sandbox, watched.sandbox.keycloak.realms["platform"]
    harbor = realm.client_named("harbor")
    assert harbor is not None
    harbor["redirectUris"] = ["*"]
    realm.settings["accessTokenLifespan"] = 36000
    sandbox.harbor.configuration["project_creation_restriction"] = "everyone"
    sandbox.kubernetes.delete("VirtualService", "harbor", "harbor")
    marked = {"app.kubernetes.io/managed-by": ["tenantry"]}
    watched.systems.keycloak_client.post("groups", {"name": "auditors", "attributes": marked})

    assert findings_of(watched.report()) == {
        "changed keycloak/client/harbor",
        "changed keycloak/realm/platform",
        "changed harbor/configuration/settings",
        "missing istio/VirtualService/harbor/harbor",
        "extra keycloak/group/auditors",
    }
    found = {str(each.resource): each for each in watched.report().findings}
    assert {each.team for each in found.values()} == {""}
    assert found["keycloak/client/harbor"].severity == "critical"
    assert found["keycloak/realm/platform"].location.file == "platform.yaml"
    assert findings_of(watched.report("shop")) == set()

    remediate(watched.systems, watched.detect(), "all")
    assert findings_of(watched.report()) == {"extra keycloak/group/auditors"}
    assert harbor["redirectUris"] != ["*"]


def test_a_route_of_the_gateway_api_is_found_and_remediated_like_any_other(
    watched: Watched,
) -> None:
    routes = {"web": {**SHOP["routes"]["web"], "kind": "HTTPRoute"}}
    watched.declare({**SHOP, "routes": routes}, DATA, platform=_platform())
    watched.onboard("shop")
    watched.watch()
    assert findings_of(watched.report()) == set()
    client = watched.systems.home_cluster
    path = ("HTTPRoute", "web", "team-shop")
    client.delete(*path, (client.get(*path) or {})["metadata"]["uid"])
    missing = one(watched)
    assert (str(missing.resource), missing.severity) == (
        "istio/HTTPRoute/team-shop/web",
        "critical",
    )
    remediate(watched.systems, watched.detect(), "safe")
    assert findings_of(watched.report()) == set()

    watched.declare({**SHOP, "routes": {}}, DATA, platform=_platform())
    watched.watch()
    assert "extra istio/HTTPRoute/team-shop/web" in findings_of(watched.report())
    remediate(watched.systems, watched.detect())
    assert findings_of(watched.report()) == set()


def test_another_managers_labels_and_unmanaged_fields_are_not_drift(watched: Watched) -> None:
    namespace = watched.sandbox.kubernetes.get("Namespace", "team-shop")
    assert namespace is not None
    namespace["metadata"]["labels"]["someone/else"] = "yes"
    watched.sandbox.kubernetes.put(namespace)
    watched.sandbox.harbor.projects["team-shop"].metadata["reuse_sys_cve_allowlist"] = "true"

    assert findings_of(watched.report()) == set()


def test_a_declared_member_who_is_not_in_the_realm_yet_waits_and_is_not_drift(
    sandbox: FaultySandbox, tmp_path: Any
) -> None:
    with Watched(sandbox, tmp_path / "state") as watched:
        watched.onboarded({"name": "shop", "members": ["ann", "nobody"]})
        report = watched.report()

    assert report.findings == ()
    assert [(team, str(each.id)) for team, each in report.waiting] == [
        ("shop", "keycloak/group member/team-shop/nobody")
    ]


def test_a_team_that_is_not_onboarded_yet_is_one_finding(watched: Watched) -> None:
    watched.declare(SHOP, DATA, {"name": "young"}, platform=_platform())
    watched.watch()
    report = watched.report()

    (finding,) = report.findings
    assert str(finding.resource) == "declared state/team/young"
    assert (finding.team, finding.class_, finding.severity) == ("young", "missing", "info")
    assert re.fullmatch(
        r"it is not onboarded yet: \d+ resources to create \(.*\d in Kubernetes.*\)",
        finding.detail,
    )
    assert (finding.location.file, finding.location.line) == ("teams/young.yaml", 1)
    assert finding.what_to_do == "create (remediate: safe)"


def test_each_team_that_is_not_onboarded_yet_is_one_of_the_findings(
    watched: Watched,
) -> None:
    watched.declare(SHOP, {"name": "old"}, {"name": "young"}, platform=_platform())
    watched.watch()
    named = {
        (each.team, each.class_, each.resource.kind.name) for each in watched.report().findings
    }

    assert {("old", "missing", "team"), ("young", "missing", "team")} <= named
    assert "extra" in {class_ for _, class_, _ in named}, "what there is of data"


def test_a_changed_declaration_without_effect_is_reported_once(
    watched: Watched,
) -> None:
    watched.declare({**SHOP, "contact": "#shop"}, DATA, platform=_platform())
    watched.watch()
    finding = one(watched)

    assert (finding.class_, finding.severity) == ("changed", "info")
    assert str(finding.resource) == "kubernetes/Namespace mark/team-shop"
    remediate(watched.systems, watched.detect(), "safe")
    assert findings_of(watched.report()) == set()


def _platform(**more: Any) -> Data:
    providers = {"external_providers": {"corp": {"group_name": "k8s-{group}"}}}
    return {**PLATFORM, "keycloak": providers, **more}


# Severity, and where it is declared


@pytest.mark.parametrize(
    ("left", "severity", "said"),
    [(3, "warning", "in 3 days"), (-5, "critical", "5 days ago")],
    ids=["soon", "over"],
)
def test_a_robot_that_expires_soon_is_a_warning_and_an_expired_one_critical(
    left: int, severity: str, said: str, watched: Watched
) -> None:
    robot = robot_of(watched, "ci-a")
    robot.expires_at += (left - 90) * 86400
    findings = {str(each.resource): each for each in watched.report("shop").findings}

    finding = findings["harbor/robot/team-shop/ci-a"]
    assert (finding.class_, finding.severity) == ("broken", severity)
    assert (finding.fields[0].old, finding.fields[0].new) == (said, "not soon")
    secret = "kubernetes/Secret/team-shop/harbor-ci"
    assert set(findings) - {str(finding.resource)} == ({secret} if left < 0 else set())
    if left < 0:
        assert (findings[secret].class_, findings[secret].severity) == ("broken", "critical")


def test_a_robot_whose_secret_was_renewed_by_hand_is_reported_at_its_secret(
    watched: Watched,
) -> None:
    watched.systems.harbor_client.patch(f"/robots/{robot_of(watched, 'ci-a').id}", {})

    finding = one(watched)
    assert finding.class_ == "broken"
    assert str(finding.resource) == "kubernetes/Secret/team-shop/harbor-ci"
    watched.watch(probe_credentials=False)
    assert findings_of(watched.report()) == set()


def test_a_finding_points_at_the_line_that_declares_it(watched: Watched) -> None:
    text = (
        "name: shop\n"
        "harbor:\n"
        "  storage_quota: 10Gi\n"
        "  role: guest\n"
        "namespace:\n"
        "  quota:\n"
        "    pods: 5\n"
    )
    watched.declare(DATA, platform=_platform(defaults={"harbor": {"auto_scan": True}}))
    (watched.folder / "teams" / "shop.yaml").write_text(text)
    watched.reload()
    lines = {
        f"{each.resource.kind} {each.fields[0].field}": each.location
        for each in watched.report("shop").findings
        if each.fields
    }

    assert lines["member role"] == ("teams/shop.yaml", 4)
    assert lines["ResourceQuota spec.hard.pods"] == ("teams/shop.yaml", 7)
    robot = watched.sandbox.harbor.projects["team-shop"]
    robot.metadata["auto_scan"] = "false"
    findings = {str(each.resource): each for each in watched.report("shop").findings}
    assert findings["harbor/project/team-shop"].location.file == "platform.yaml"


# Unreadable parts


@pytest.mark.demand(
    "drift", "a system that is down is reported, and the findings of the others are complete"
)
@pytest.mark.parametrize("system", ["harbor", "keycloak", "kubernetes"])
def test_a_system_that_is_down_costs_its_own_findings(system: str, watched: Watched) -> None:
    broken = {
        "harbor": lambda: watched.sandbox.harbor.projects["team-data"].metadata.update(
            public="true"
        ),
        "keycloak": lambda: watched.systems.keycloak_client.post(
            "clients", {"clientId": "team-shop-extra"}
        ),
        "kubernetes": lambda: watched.sandbox.kubernetes.delete(
            "NetworkPolicy", "tenantry-allow-dns", "team-data"
        ),
    }
    for act in broken.values():
        act()
    everything = findings_of(watched.report())
    assert len(everything) == 3
    watched.sandbox.fault_for = lambda asked, method, path: 503 if asked == system else None
    watched.watch()
    report = watched.report()

    assert f"unreadable {system}/*/*" in findings_of(report)
    readable = {each for each in everything if f" {system}/" not in each}
    assert findings_of(report) - {f"{c.class_} {c.resource}" for c in report.unreadable} == readable


def test_a_team_that_cannot_be_read_costs_its_own_findings(watched: Watched) -> None:
    for project in watched.sandbox.harbor.projects.values():
        project.metadata["public"] = "true"
    number = watched.sandbox.harbor.projects["team-shop"].id
    watched.sandbox.fault_for = lambda system, method, path: (
        500 if path == f"/api/v2.0/projects/{number}/summary" else None
    )

    assert findings_of(watched.report()) == {
        "unreadable harbor/project/team-shop",
        "changed harbor/project/team-data",
    }


def test_an_invalid_object_costs_its_own_finding(watched: Watched) -> None:
    realm = watched.sandbox.keycloak.realms["platform"]
    client = realm.client_named("team-shop-web")
    assert client is not None
    client["attributes"] = ["not", "a", "mapping"]
    watched.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-shop")
    found = findings_of(watched.report())

    assert "unreadable keycloak/client/team-shop-web" in found
    assert "missing kubernetes/NetworkPolicy/team-shop/tenantry-allow-dns" in found
    assert len(found) == 2


def test_a_team_that_cannot_be_planned_costs_its_own_findings(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for project in watched.sandbox.harbor.projects.values():
        project.metadata["public"] = "true"
    real = watched.systems.plan
    failures: list[Exception] = []

    def plan(team: Team, *args: Any, **options: Any) -> Plan:
        if team.name == "shop":
            raise failures[0]
        return real(team, *args, **options)

    monkeypatch.setattr(watched.systems, "plan", plan)
    for failure, system in (
        (SystemUnavailable("keycloak", "GET /users", "no answer"), "keycloak"),
        (ValueError("an unexpected error"), "harbor"),
    ):
        failures[:] = [failure]
        report = watched.report()

        assert findings_of(report) == {
            f"unreadable {system}/team/shop",
            "changed harbor/project/team-data",
        }
        (unread,) = report.unreadable
        assert unread.team == "shop"


@pytest.mark.parametrize("groups", [{"Admins": "nobody"}, {"Admins": "nobody", "Ops": "gone"}])
def test_a_name_in_platform_yaml_that_leads_to_no_group_is_a_finding_at_its_line(
    watched: Watched, groups: Data
) -> None:
    provider = {"group_name": "k8s-{group}", "groups": groups}
    write(
        watched.folder,
        SHOP,
        DATA,
        platform=_platform(keycloak={"external_providers": {"corp": provider}}),
    )
    watched.state = declared.read(watched.folder)
    watched.watch()
    found = {str(each.resource): each for each in watched.report().findings}
    finding = found["declared state/platform file/platform.yaml"]

    assert (finding.class_, finding.team) == ("unreadable", "")
    assert all(f"no team has the group '{group}'" in finding.detail for group in groups.values())
    lines = (watched.folder / "platform.yaml").read_text().splitlines()
    assert "Admins" in lines[finding.location.line - 1]


def test_a_faulty_file_is_a_finding_of_the_team_that_it_names(watched: Watched) -> None:
    (watched.folder / "teams" / "shop.yaml").unlink()
    (watched.folder / "teams" / "store.yaml").write_text("name: shop\ncolour: red\n")
    watched.state = declared.read(watched.folder)
    watched.watch()
    finding = one(watched)

    assert str(finding.resource) == "declared state/team file/teams/store.yaml"
    assert finding.team == "shop"
    assert "its team is left out and was not compared" in finding.detail


def test_while_the_secrets_are_unreadable_the_other_robot_of_a_pair_is_not_an_extra(
    watched: Watched,
) -> None:
    body = {
        "name": "pull-b",
        "description": "Managed by Tenantry",
        "level": "project",
        "duration": 90,
        "permissions": [
            {
                "kind": "project",
                "namespace": "team-shop",
                "access": [{"resource": "repository", "action": "pull"}],
            }
        ],
    }
    watched.systems.harbor_client.post("/robots", body)
    assert findings_of(watched.report()) == set()  # a rotation may be about to publish it
    watched.sandbox.clock.move(7200)
    assert findings_of(watched.report()) == {"extra harbor/robot/team-shop/pull-b"}
    watched.sandbox.fault_for = lambda system, method, path: 503 if "/secrets/" in path else None
    watched.watch()

    assert not [each for each in findings_of(watched.report()) if "robot" in each]


# Extras of undeclared teams


def test_resources_of_an_undeclared_team_are_reported_and_stay(
    watched: Watched,
) -> None:
    watched.declare(DATA, platform=_platform())
    watched.watch()
    found = findings_of(watched.report())

    assert {
        "extra kubernetes/Namespace/team-shop",
        "extra kubernetes/Namespace/team-shop-jobs",
        "extra harbor/project/team-shop",
        "extra keycloak/group/team-shop",
        "extra keycloak/client/team-shop-web",
        "extra keycloak/identity provider mapper/corp/tenantry team-shop",
    } <= found
    before = watched.sandbox.requests.writes()
    remediate(watched.systems, watched.detect(), "all")
    assert watched.sandbox.requests.writes() == before
    assert findings_of(watched.report()) == found


def test_a_run_for_some_teams_reports_only_these_teams(watched: Watched) -> None:
    for project in watched.sandbox.harbor.projects.values():
        project.metadata["public"] = "true"
    put(watched, "RoleBinding", "by-hand", roleRef={"name": "x", "kind": "Role"}, subjects=[])

    assert findings_of(watched.report("data")) == {"changed harbor/project/team-data"}


@pytest.mark.parametrize("asked", SYSTEMS)
def test_a_run_for_one_system_reports_only_that_system(asked: SystemName, watched: Watched) -> None:
    watched.sandbox.harbor.projects["team-shop"].metadata["public"] = "true"
    watched.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-shop")
    watched.sandbox.kubernetes.delete("VirtualService", "web", "team-shop")
    watched.systems.keycloak_client.post("clients", {"clientId": "team-shop-extra"})
    expected = {
        "harbor": "changed harbor/project/team-shop",
        "kubernetes": "missing kubernetes/NetworkPolicy/team-shop/tenantry-allow-dns",
        "istio": "missing istio/VirtualService/team-shop/web",
        "keycloak": "extra keycloak/client/team-shop-extra",
    }

    assert findings_of(watched.report(asked=(asked,))) == {expected[asked]}


# Ignore rules


def ignoring(watched: Watched, *rules: Data, team: tuple[Data, ...] = ()) -> Watched:
    shop = {**SHOP, "drift": {"ignore": list(team)}} if team else SHOP
    watched.declare(shop, DATA, platform=_platform(drift={"ignore": list(rules)}))
    watched.watch()
    return watched


def test_an_ignore_rule_affects_the_report_but_not_the_apply(watched: Watched) -> None:
    watched.sandbox.harbor.projects["team-shop"].metadata["public"] = "true"
    rule = {"system": "harbor", "kind": "project", "key": "team-sh*", "reason": "a campaign"}
    ignoring(watched, rule)
    report = watched.report()

    assert report.findings == ()
    assert [(str(i.finding.resource), i.reason) for i in report.ignored] == [
        ("harbor/project/team-shop", "a campaign")
    ]
    remediate(watched.systems, watched.detect(), "safe")
    assert watched.sandbox.harbor.projects["team-shop"].metadata["public"] == "false"


def test_a_rule_for_a_field_leaves_the_others(watched: Watched) -> None:
    metadata = watched.sandbox.harbor.projects["team-shop"].metadata
    metadata |= {"public": "true", "auto_scan": "false"}
    ignoring(watched, {"kind": "project", "field": "auto_*", "reason": "slow scanner"})
    finding = one(watched)

    assert [each.field for each in finding.fields] == ["public"]


def test_an_ignored_field_does_not_determine_the_class_of_a_finding(watched: Watched) -> None:
    robot = robot_of(watched, "ci-a")
    robot.expires_at -= 87 * 86400
    ignoring(watched, {"kind": "robot", "field": "expiry", "reason": "a campaign"})
    report = watched.report("shop")
    assert report.findings == ()
    assert [ignored.finding.class_ for ignored in report.ignored] == ["broken"]

    robot.permissions[0].access[:] = [("repository", "pull")]
    finding = one(watched)
    assert (finding.class_, str(finding.resource)) == ("changed", "harbor/robot/team-shop/ci-a")


def test_a_teams_own_rule_is_for_its_own_findings(watched: Watched) -> None:
    for namespace in ("team-shop", "team-data"):
        live = watched.sandbox.kubernetes.get("Namespace", namespace)
        assert live is not None
        del live["metadata"]["labels"]["tenantry.io/team"]
        watched.sandbox.kubernetes.put(live)
    ignoring(watched, team=({"kind": "Namespace", "reason": "a migration"},))

    assert findings_of(watched.report()) == {"changed kubernetes/Namespace/team-data"}


@pytest.mark.parametrize(
    "rule",
    [{"kind": "project"}, {"kind": "project", "field": "public"}, {"key": "team-*"}],
    ids=str,
)
def test_a_teams_own_rule_cannot_ignore_a_critical_finding(watched: Watched, rule: Data) -> None:
    metadata = watched.sandbox.harbor.projects["team-shop"].metadata
    metadata |= {"public": "true"}
    ignoring(watched, team=({**rule, "reason": "trust me"},))
    found = {str(each.resource): each for each in watched.report().findings}

    assert [each.field for each in found["harbor/project/team-shop"].fields] == ["public"]
    (told,) = [each for each in found.values() if each.resource.kind.name == "ignore rule"]
    assert (told.class_, told.team) == ("broken", "shop")
    assert told.location.file == "teams/shop.yaml"
    assert told.detail == (
        "it has no effect: the finding is critical, and only a rule in platform.yaml can ignore "
        "it: trust me"
    )


def test_a_team_cannot_hide_users_who_have_its_rights(watched: Watched) -> None:
    watched.sandbox.keycloak.add_user("platform", "eve")
    realm = watched.sandbox.keycloak.realms["platform"]
    realm.join(present(realm.user_named("eve")), present(realm.child_named(None, "team-shop")))
    ignoring(watched, team=({"system": "keycloak", "reason": "trust me"},))

    assert "extra keycloak/group member/team-shop/eve" in findings_of(watched.report())


def test_a_rule_that_matches_nothing_is_a_finding_at_its_line(watched: Watched) -> None:
    ignoring(watched, team=({"kind": "robot", "key": "team-shop/old", "reason": "gone"},))
    finding = one(watched)

    assert (finding.class_, finding.severity, finding.team) == ("extra", "info", "shop")
    assert str(finding.resource) == "declared state/ignore rule/*/robot/team-shop/old"
    assert finding.detail == "it matches nothing: gone"
    file = (watched.folder / "teams" / "shop.yaml").read_text().splitlines()
    assert finding.location.file == "teams/shop.yaml"
    assert "team-shop/old" in " ".join(file[finding.location.line - 1 :][:2])
    assert watched.report("data").findings == (), "nobody looked at what it is for"
    assert watched.report(asked=("istio",)).findings == ()


def test_an_expired_rule_is_a_finding_and_no_longer_ignores_others(watched: Watched) -> None:
    watched.sandbox.harbor.projects["team-shop"].metadata["public"] = "true"
    until = date(2026, 11, 24)
    ignoring(watched, {"kind": "project", "until": until.isoformat(), "reason": "a campaign"})
    rule = "broken declared state/ignore rule/*/project/*"

    assert findings_of(watched.report(now=NOW)) == {rule, "changed harbor/project/team-shop"}
    assert findings_of(watched.report(now=NOW - timedelta(days=1))) == set()


# Remediation


def test_safe_removes_nothing(watched: Watched) -> None:
    marks = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "shop"}
    put(watched, "Secret", "once-ours", data={})
    found = watched.sandbox.kubernetes.get("Secret", "once-ours", "team-shop")
    assert found is not None
    found["metadata"]["labels"] = marks
    watched.sandbox.kubernetes.put(found)
    watched.sandbox.harbor.projects["team-shop"].metadata["public"] = "true"
    remediate(watched.systems, watched.detect(), "safe")

    assert findings_of(watched.report()) == {"extra kubernetes/Secret/team-shop/once-ours"}


def test_the_applied_mark_is_not_written_while_a_part_is_unknown(
    watched: Watched,
) -> None:
    watched.declare({**SHOP, "contact": "#shop"}, DATA, platform=_platform())
    watched.watch()
    watched.sandbox.fault_for = lambda system, method, path: 503 if system == "keycloak" else None
    before = watched.sandbox.requests.writes()
    remediate(watched.systems, watched.detect(), "safe")

    assert watched.sandbox.requests.writes() == before


def test_no_finding_shows_a_secret(watched: Watched) -> None:
    held = [
        base64.b64decode(value).decode()
        for each in watched.sandbox.kubernetes.objects
        if each["kind"] == "Secret"
        for value in (each.get("data") or {}).values()
    ]
    for name in ("harbor-pull", "harbor-ci"):
        _, password = watched.login(name)
        held.append(password)
    for project in watched.sandbox.harbor.projects.values():
        project.metadata["public"] = "true"
    for robot in list(watched.sandbox.harbor.robots):
        watched.systems.harbor_client.patch(f"/robots/{robot}", {})
    text = repr(watched.report())

    assert "Secret" in text
    assert not [value for value in held if len(value) > 15 and value in text]


def test_a_plan_that_changes_during_its_approval_is_approved_again(watched: Watched) -> None:
    projects = watched.sandbox.harbor.projects
    projects["team-shop"].metadata["public"] = "true"
    approved: list[set[str]] = []

    def approve(remedy: drift.Remedy) -> bool:
        approved.append({str(change.id) for plan in remedy.plans for change in plan.changes})
        projects["team-shop"].metadata["auto_scan"] = "false"
        return True

    result = drift.remediate(
        watched.detect(),
        drift.Order("safe"),
        detect_again=watched.detect,
        remediate_teams=partial(remediate_under_lock, watched.systems),
        approve=approve,
    )

    assert approved == [{"harbor/project/team-shop"}] * 2
    assert [(each.name, len(each.done), each.differs) for each in result.teams] == [
        ("shop", 1, False)
    ]
    assert (result.note, result.error) == ("", None)
    assert findings_of(watched.report()) == set()


@pytest.mark.parametrize("approved", [False, True])
def test_a_team_that_cannot_be_read_again_is_not_called_remediated(
    approved: bool, watched: Watched
) -> None:
    projects = watched.sandbox.harbor.projects
    projects["team-shop"].metadata["public"] = "true"
    remedy = drift.choose(watched.detect(), "safe")
    watched.sandbox.controls.take_down("core")

    (result,) = drift.remediate_teams(
        watched.systems, remedy, drift.Order("safe"), NoLock(), approved=approved
    )

    assert (result.name, result.done, result.differs) == ("shop", (), False)
    assert isinstance(result.error, SystemUnavailable)
    watched.sandbox.controls.take_down()
    (result,) = drift.remediate_teams(
        watched.systems, remedy, drift.Order("safe"), NoLock(), approved=approved
    )
    assert (len(result.done), result.error) == (1, None)


# Costs


@pytest.mark.demand("drift", "detection writes nothing", "writes")
@pytest.mark.demand(
    "drift",
    "Harbor: 3 reads a team, 1 a robot's credential, 1 each for declared retention "
    "and immutable tags, and pages",
    "Harbor",
)
@pytest.mark.demand(
    "drift", "Keycloak: 6 reads, and 1 for each team that declares members", "Keycloak"
)
@pytest.mark.demand("drift", "Kubernetes: 13 reads, and 1 a managed Secret", "Kubernetes")
def test_a_detection_writes_nothing_and_reads_like_onboarding(
    sandbox: FaultySandbox, tmp_path: Any, whole: bool, record_property: Any
) -> None:
    many = 50 if whole else 10
    some = {
        "harbor": {"retention": SHOP["harbor"]["retention"], "immutable_tags": [{"tags": "v*"}]}
    }
    rich = {**some, "members": ["ann"]}
    names = [f"t{number:02}" for number in range(many)]
    teams = [{"name": name, **(rich if name.endswith("0") else {})} for name in names]
    with_members = many // 10
    with Watched(sandbox, tmp_path / "state") as watched:
        watched.onboarded(*teams)
        sandbox.requests.reset()
        assert findings_of(watched.report()) == set()
        writes = sandbox.requests.writes()
        found = dict.fromkeys(("harbor", "keycloak", "kubernetes"), 0)
        secrets = 0
        for kind, number in sandbox.requests.counts().items():
            logins = ("/c/login", "openid-connect/token", "/systeminfo", "/users/current")
            if not kind.template.endswith(logins):
                found[kind.system] += number
            secrets += number if "/secrets/" in kind.template else 0

    others = f"Terraform: {4 * many}, without credentials; Otomi: {15 * many + 2}"
    record_property("writes", f"{writes} for {many} teams (Otomi: {9 * many})")
    record_property("Harbor", f"{found['harbor']} for {many} teams ({others})")
    record_property("Keycloak", f"{found['keycloak']} for {many} teams (Terraform: {6 * many})")
    record_property("Kubernetes", f"{found['kubernetes']} for {many} teams")
    pages = 2  # of the projects, and of the robots of the system level
    assert writes == 0
    assert found["harbor"] == 3 * many + 2 * many + 2 * with_members + pages
    assert secrets == 2 * many
    # The version, the realm, the issuer, groups, clients, identity providers; members of a group.
    assert found["keycloak"] == 6 + with_members
    # Constants: the version, a namespace, our role, lists of each kind and of what is left over.
    assert found["kubernetes"] == 13 + secrets
