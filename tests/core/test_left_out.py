"""A faulty team file affects only its own team: in plans, onboarding and drift detection."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry import checks, cli, declared, drift, onboarding
from tenantry.commands import exit_status
from tenantry.drift import Report
from tenantry.drift.history import History
from tenantry.drift.reports import FILES, write
from tenantry.errors import DeclarationError, SystemUnavailable, TenantryError
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.systems.settle import connect, settle
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.support.harness import Bench, Data, connections, environment, granted, ids
from tests.support.harness import write as declare

pytestmark = pytest.mark.demand(
    "reality", "a faulty file stops its own team only: onboarding, drift, conflicts, claims"
)

ROUTE: Data = {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}
SHOP: Data = {
    "name": "shop",
    "group": "shoppers",
    "further_namespaces": {"jobs": {}},
    "routes": {"web": ROUTE},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/"]}},
}
DATA: Data = {"name": "data"}
GRANTED = granted("shop", "thief", "one", "two", groups=["shoppers", "common"])
FAULTS: dict[str, str | bytes] = {
    "not YAML": "name: shop\nroutes: {",
    "not text": b"\xff\xfe\x00name",
    "an unknown field": "name: shop\ncolour: red\n",
    "a wrong value": "name: shop\nharbor: {role: owner}\n",
    "an unknown profile": "name: shop\nprofile: gold\n",
    "no name": "contact: someone\n",
    "a wrong name": "name: Shop\n",
    "empty": "",
    "a list": "- name: shop\n",
}


@pytest.fixture
def onboarded(begin: Callable[..., Bench]) -> Bench:
    """Return `shop` and `data`, onboarded."""
    return begin(_onboard)


def _onboard(bench: Bench) -> None:
    bench.declare(SHOP, DATA, platform=GRANTED)
    for team in bench.teams:
        bench.onboard(team.name)


def overwrite(bench: Bench, text: str | bytes, file: str = "shop") -> None:
    """Replace the content of a team's file."""
    content = text if isinstance(text, bytes) else text.encode()
    (bench.folder / "teams" / f"{file}.yaml").write_bytes(content)


def reconnect(bench: Bench, *, extras: bool = False) -> Systems:
    """Read the declared state again, and return the systems of a new run."""
    state = declared.read(bench.folder)
    clock = bench.sandbox.clock.now
    systems = connect(connections(bench.sandbox), state, extras=extras, clock=clock)
    bench._opened.append(systems)
    return systems


def report(systems: Systems) -> Report:
    """Return the drift report for all teams."""
    teams = systems.state.pick(None)
    return drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS)).report


@pytest.mark.parametrize("fault", FAULTS)
def test_the_others_are_onboarded_and_nothing_of_the_team_is_touched(
    onboarded: Bench, fault: str
) -> None:
    bench = onboarded
    overwrite(bench, FAULTS[fault])
    overwrite(bench, "name: third\n", "third")
    systems = reconnect(bench)

    assert list(systems.state.teams) == ["data", "third"]
    (left_out,) = systems.state.left_out
    assert left_out.names == ("shop",)
    assert all(fault.startswith("teams/shop.yaml:") for fault in left_out.faults)

    teams = systems.state.pick(None)
    planned = onboarding.plan_all(systems, teams)
    outcomes: list[Outcome] = []
    onboarding.onboard_many(systems, teams, planned, NoLock(), outcomes.append)

    assert {outcome.team: outcome.error for outcome in outcomes} == {"data": None, "third": None}
    assert not [
        found
        for found in ids(change for outcome in outcomes for change in outcome.done)
        if "shop" in found
    ]


@pytest.mark.parametrize("fault", FAULTS)
def test_drift_has_a_finding_at_the_line_and_no_extras(onboarded: Bench, fault: str) -> None:
    overwrite(onboarded, FAULTS[fault])

    found = report(reconnect(onboarded, extras=True))

    (finding,) = found.findings
    assert (finding.class_, finding.severity, finding.team) == ("unreadable", "warning", "shop")
    assert str(finding.resource) == "declared state/team file/teams/shop.yaml"
    assert finding.location.file == "teams/shop.yaml"
    assert finding.location.line >= 1
    assert f"teams/shop.yaml:{finding.location.line}: " in finding.detail


def test_nothing_of_it_is_removed(onboarded: Bench) -> None:
    overwrite(onboarded, "colour: red\n")
    systems = reconnect(onboarded, extras=True)
    teams = systems.state.pick(None)
    detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))

    assert drift.choose(detected, "all").plans == ()


def test_a_team_that_is_no_longer_declared_is_still_reported(onboarded: Bench) -> None:
    (onboarded.folder / "teams" / "shop.yaml").unlink()
    assert {finding.class_ for finding in report(reconnect(onboarded, extras=True)).findings} == {
        "extra"
    }


@pytest.mark.parametrize("text", ["name: Shop\n", "{", ""])
def test_a_team_keeps_all_that_it_has_while_its_file_of_another_name_gives_none(
    onboarded: Bench, text: str
) -> None:
    (onboarded.folder / "teams" / "shop.yaml").unlink()
    overwrite(onboarded, text, "web")
    systems = reconnect(onboarded, extras=True)
    teams = systems.state.pick(None)
    detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))

    assert {finding.class_ for finding in detected.report.findings} == {"unreadable"}
    assert drift.choose(detected, "all").plans == ()

    overwrite(onboarded, json.dumps({"name": "thief", "group": "shoppers"}), "thief")
    state = reconnect(onboarded).state
    assert list(state.teams) == ["data"]
    assert any(
        "is held by team 'shop', which may be declared in a file that cannot be read" in fault
        for fault in state.faults
    )


INTRUDERS: dict[str, tuple[Data, str]] = {
    "the group by its name": ({"group": "team-data"}, "the group 'team-data'"),
    "a group": ({"group": "shoppers"}, "the group 'shoppers'"),
    "a host": ({"routes": {"mine": ROUTE}}, "the host 'shop.example.com'"),
    "a Secret": (
        {"robots": {"ci": {"sinks": [{"namespace": "team-shop", "name": "harbor-pull"}]}}},
        "the Secret 'team-shop/harbor-pull'",
    ),
    "the file's name": ({"name": "shop"}, "team 'shop' is also declared in teams/shop.yaml"),
}


@pytest.mark.parametrize("case", INTRUDERS)
def test_the_intruder_is_left_out_and_not_the_victim(onboarded: Bench, case: str) -> None:
    claim, text = INTRUDERS[case]
    for file in ("aaa", "zzz"):  # before and after the other file
        for path in (onboarded.folder / "teams").glob("[az]*.yaml"):
            path.unlink()
        overwrite(onboarded, json.dumps({"name": file, **claim}), file)
        state = reconnect(onboarded).state

        assert list(state.teams) == ["data", "shop"]
        assert [faulty.file for faulty in state.left_out] == [f"teams/{file}.yaml"]
        assert text in state.faults[0]


def test_a_namespace_belongs_to_the_team_of_its_name(onboarded: Bench) -> None:
    overwrite(onboarded, "name: shop-jobs\n", "shop-jobs")
    state = reconnect(onboarded).state
    assert list(state.teams) == ["data", "shop-jobs"], "shop's further namespace is the intruder"


def test_the_live_mark_decides_where_no_convention_does(onboarded: Bench) -> None:
    overwrite(
        onboarded,
        "name: shop-x\noidc_clients: {y: {redirect_uris: [https://a.example]}}\n",
        "shop-x",
    )
    onboarded.load()
    onboarded.onboard("shop-x")
    shop = {**SHOP, "oidc_clients": {"x-y": {"redirect_uris": ["https://b.example"]}}}
    overwrite(onboarded, json.dumps(shop))

    state = reconnect(onboarded).state

    assert list(state.teams) == ["data", "shop-x"]
    assert state.faults == [
        (
            "teams/shop.yaml:1: oidc_clients.x-y: the OIDC client 'team-shop-x-y' is also declared by "
            "team 'shop-x', which holds it"
        )
    ]


def test_both_are_left_out_where_nothing_shows_who_holds_it(onboarded: Bench) -> None:
    for name in ("one", "two"):
        overwrite(onboarded, f"name: {name}\ngroup: common\n", name)

    state = reconnect(onboarded).state

    assert list(state.teams) == ["data", "shop"]
    assert state.faults == [
        f"teams/{name}.yaml:2: group: the group 'common' is also declared by team '{other}'; the "
        "systems do not show which of them holds it"
        for name, other in (("one", "two"), ("two", "one"))
    ]


@pytest.mark.parametrize(
    "claim",
    [{"group": "shoppers"}, {"routes": {"mine": ROUTE}}],
    ids=["group", "host"],
)
def test_a_team_keeps_what_it_holds_while_its_file_cannot_be_read(
    onboarded: Bench, claim: dict[str, Any]
) -> None:
    overwrite(onboarded, "{")
    overwrite(onboarded, json.dumps({"name": "thief", **claim}), "thief")

    state = reconnect(onboarded).state

    assert list(state.teams) == ["data"]
    assert any("is held by team 'shop', which is left out" in fault for fault in state.faults)


def test_a_system_that_cannot_be_read_is_not_called_again_for_each_claim(
    onboarded: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def refuse(client: KubernetesClient, kind: str, *args: Any, **options: Any) -> Any:
        reads.append(kind)
        raise SystemUnavailable("kubernetes", f"GET {kind}", "no answer")

    overwrite(onboarded, "{")
    for number in range(20):
        routes = {"web": {**ROUTE, "host": f"web-{number}.example.com"}}
        more = {"routes": routes, "further_namespaces": {"jobs": {}}}
        overwrite(onboarded, json.dumps({"name": f"team-{number}", **more}), f"team-{number}")
    monkeypatch.setattr(KubernetesClient, "list", refuse)
    state = reconnect(onboarded).state
    assert list(state.teams) == ["data"], "the others may claim resources of the faulty file's team"
    assert len(reads) <= 6, "at most once for each kind of claim"


UNREAD: dict[str, tuple[str, str, Data]] = {
    "the group": ("keycloak", "/groups", {"group": "shoppers"}),
    "the host": ("kubernetes", "/virtualservices", {"routes": {"mine": ROUTE}}),
    "the namespace": ("kubernetes", "/api/v1/namespaces", {"further_namespaces": {"x": {}}}),
}


@pytest.mark.parametrize("answer", [403, 503])
@pytest.mark.parametrize("claimed", UNREAD)
def test_a_thing_whose_holder_cannot_be_read_is_given_to_no_team(
    onboarded: Bench, claimed: str, answer: int
) -> None:
    """A failed read does not show the holder, so the claiming team must wait until it succeeds."""
    system, part, claim = UNREAD[claimed]
    overwrite(onboarded, "{")
    overwrite(onboarded, json.dumps({"name": "thief", **claim}), "thief")
    onboarded.sandbox.fault_for = lambda asked, method, path: (
        answer if (asked, method) == (system, "GET") and part in path else None
    )

    state = reconnect(onboarded).state

    assert list(state.teams) == ["data"]
    (thief,) = (file for file in state.left_out if file.names == ("thief",))
    assert f"{claimed} '" in thief.faults[0]
    assert "its holder could not be read" in thief.faults[0]
    assert f"answered {answer}" in thief.faults[0]


def test_neither_rival_gets_a_thing_whose_holder_cannot_be_read(onboarded: Bench) -> None:
    for name in ("one", "two"):
        overwrite(onboarded, f"name: {name}\ngroup: common\n", name)
    onboarded.sandbox.fault_for = lambda asked, method, path: (
        403 if (asked, method) == ("keycloak", "GET") and "/groups" in path else None
    )

    state = reconnect(onboarded).state

    assert list(state.teams) == ["data", "shop"]
    assert all("could not be read" in fault for fault in state.faults)


@pytest.mark.parametrize("last", [False, True])
def test_a_failed_read_of_a_holder_is_raised_to_be_tried_reconnect(
    onboarded: Bench, last: bool
) -> None:
    overwrite(onboarded, "{")
    overwrite(onboarded, json.dumps({"name": "thief", "routes": {"mine": ROUTE}}), "thief")
    state = declared.read(onboarded.folder)
    onboarded.sandbox.fault_for = lambda asked, method, path: (
        503 if "/virtualservices" in path else None
    )
    with Systems(connections(onboarded.sandbox), state) as systems:
        if last:
            assert list(settle(systems).teams) == ["data"]
            return

        def raise_first(failures: Iterable[TenantryError]) -> None:
            raise next(iter(failures))

        with pytest.raises(SystemUnavailable):
            settle(systems, check=raise_first)


def test_a_faulty_platform_stops_everything(onboarded: Bench) -> None:
    (onboarded.folder / "platform.yaml").write_text("colour: red\n")
    overwrite(onboarded, "colour: red\n")
    with pytest.raises(DeclarationError) as refused:
        declared.read(onboarded.folder)
    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        "platform.yaml",
        "teams/shop.yaml",
        "teams/shop.yaml",
    ]


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(mutation=st.data())
def test_no_mutation_of_one_file_changes_the_plan_of_another_team(
    onboarded: Bench, mutation: st.DataObject
) -> None:
    """No file of `shop` changes the plan of `data`, even one that is not text."""
    names = st.sampled_from(["data", "shop", "team-data", "data-x", "x", "shop-jobs", ""])
    claims = st.fixed_dictionaries(
        {},
        optional={
            "name": names,
            "group": st.sampled_from(["team-data", "team-shop", "shoppers", "x"]),
            "profile": names,
            "further_namespaces": st.dictionaries(names, st.just({})),
            "routes": st.dictionaries(names, st.sampled_from([ROUTE, {}, None])),
            "oidc_clients": st.dictionaries(names, st.just({"redirect_uris": ["https://a.b/"]})),
            "external_groups": st.dictionaries(names, st.lists(names, max_size=2)),
            "robots": st.dictionaries(
                st.sampled_from(["pull", "ci", "x"]),
                st.fixed_dictionaries(
                    {},
                    optional={
                        "replaces": st.lists(st.sampled_from(["robot$team-data+pull-a", "x"])),
                        "sinks": st.lists(
                            st.fixed_dictionaries(
                                {
                                    "namespace": st.sampled_from(["team-data", "team-shop", "x"]),
                                    "name": st.sampled_from(["harbor-pull", "x"]),
                                }
                            ),
                            max_size=2,
                        ),
                    },
                ),
            ),
        },
    )
    content = mutation.draw(claims.map(lambda found: json.dumps(found).encode()) | st.binary())
    overwrite(onboarded, content)

    state = reconnect(onboarded).state

    assert "data" in state.teams
    systems = reconnect(onboarded)
    assert systems.plan(
        state.teams["data"], observe_owners(systems.team_adapters, [state.teams["data"]])
    ).is_empty


def test_a_team_with_oidc_clients_is_planned_before_the_realm_exists(bench: Bench) -> None:
    """`plan` shows it together with the platform, which creates the realm."""
    platform = {**GRANTED, "keycloak": {"realm": "new", "realm_settings": {}}}
    bench.declare(SHOP, platform=platform)

    (outcome,) = onboarding.plan_all(bench.systems, bench.teams)

    assert outcome.error is None
    assert "keycloak/client/team-shop-web" in ids(outcome.plan.changes if outcome.plan else ())


def test_every_form_of_the_report_names_the_file_and_its_line(onboarded: Bench) -> None:
    overwrite(onboarded, "name: shop\ncolour: red\n")
    systems = reconnect(onboarded, extras=True)
    found = report(systems)
    checked = checks.report(systems, checks.check_all(systems))

    for content in (found, checked):
        for format in FILES:
            text = write(format, content, History.empty())
            assert "teams/shop.yaml" in text, format
            assert "colour: unknown key" in text, format
    (result,) = json.loads(write("sarif", found, History.empty()))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("teams/shop.yaml")
    assert place["region"]["startLine"] == 2


def test_an_open_finding_of_the_team_stays_open_while_it_is_left_out(onboarded: Bench) -> None:
    quota = {**SHOP, "harbor": {"storage_quota": "5Gi"}}
    overwrite(onboarded, json.dumps(quota))
    history = History.empty().after(report(reconnect(onboarded, extras=True)))
    before = set(history.open_since())
    assert any("harbor/project/team-shop" in id for id in before)

    overwrite(onboarded, "{")
    history = history.after(report(reconnect(onboarded, extras=True)))

    assert before < set(history.open_since())


def test_the_command_line_leaves_it_out_and_reports_it(
    onboarded: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overwrite(onboarded, "name: shop\ncolour: red\n")
    for name, value in environment(onboarded.sandbox).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tenantry", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        text = capsys.readouterr()
        return int(ended.value.code or 0), text.out + text.err

    folder = str(onboarded.folder)
    for command, expected in (
        (("validate", folder), exit_status.FAILED),
        (("plan", folder), exit_status.FAILED),
        (("plan", folder, "--team", "data"), exit_status.NOTHING_TO_DO),
        (("drift", folder), exit_status.UNREADABLE),
        (("drift", folder, "--team", "data"), exit_status.IN_SYNC),
        # A table would wrap the message.
        (("check", folder, "--format", "json"), exit_status.UNREADABLE),
    ):
        ended, text = run(*command)
        assert ended == expected, (command, text)
        reported = "colour: unknown key" in " ".join(text.split())
        assert reported is (expected in (exit_status.FAILED, exit_status.UNREADABLE)), (
            command,
            text,
        )


@pytest.mark.demand("lifecycle", "all commands skip an offboarded team, in one line")
def test_the_command_line_skips_a_team_that_is_being_offboarded(
    onboarded: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = "offboarding: {since: 2026-11-30, by: ann, remove_after: 2099-01-01}"
    overwrite(onboarded, f"name: shop\n{record}\n")
    for name, value in environment(onboarded.sandbox).items():
        monkeypatch.setenv(name, value)
    for command in (["validate"], ["plan"], ["plan", "--team", "shop"], ["drift"]):
        monkeypatch.setattr("sys.argv", ["tenantry", *command, str(onboarded.folder)])
        with pytest.raises(SystemExit):
            cli.main()
        text = capsys.readouterr()
        line = "Skipped: team 'shop' is being offboarded since 2026-11-30."
        assert text.err.splitlines().count(line) == 1, (command, text)


def test_a_team_that_is_left_out_is_located_without_a_search_through_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"team-{number:02}" for number in range(30)]
    folder = declare(tmp_path, *({"name": name, "colour": "red"} for name in names))
    state = declared.read(folder)
    located: list[str] = []
    location = vars(declared.LeftOut)["location"].fget
    assert location is not None

    def counted(left_out: declared.LeftOut) -> declared.Location:
        located.append(left_out.file)
        found: declared.Location = location(left_out)
        return found

    monkeypatch.setattr(declared.LeftOut, "location", property(counted))

    assert [state.locate(name, ()) for name in names * 2] == [
        (f"teams/{name}.yaml", 1) for name in names * 2
    ]
    assert len(located) == len(names)
