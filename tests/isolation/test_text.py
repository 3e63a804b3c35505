"""Text of tenants is never interpreted: by a terminal, log, page, report or spreadsheet."""

import ast
import csv
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.pages import artifact_key
from tenantry import cli, drift, welcome
from tenantry.drift.history import History
from tenantry.drift.reports import summary, write
from tenantry.errors import DeclarationError, SystemRefused
from tenantry.rotation.assess import Outcome
from tenantry.rotation.report import page
from tenantry.text import (
    code,
    csv_cell,
    escaped,
    link,
    logger,
    markdown,
    one_line,
    printed_lines,
    read_csv_cell,
    table_head,
    table_row,
    unescaped,
    visible,
)
from tests.isolation.hostile import (
    DECLARED,
    LIVE,
    MALLORY,
    SHOP,
    harmful_to_terminals,
    rendered,
    write_hostile_text,
)
from tests.support.harness import Bench, environment

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_text.py")

ROOT = Path(__file__).parents[2]
ANYTHING = st.text(st.characters(codec="utf-8"))
HOSTILE = st.one_of(ANYTHING, st.sampled_from([LIVE, DECLARED]))


@pytest.fixture
def attacked(begin: Callable[..., Bench]) -> Bench:
    """Return a bystander, and a team that has written hostile text wherever it can."""
    return begin(_attack)


def _attack(bench: Bench) -> None:
    bench.declare(MALLORY, SHOP)
    for team in bench.teams:
        bench.onboard(team.name)
    write_hostile_text(bench.sandbox)


# The command line


@pytest.mark.demand("isolation", "text of tenants in terminal and logs")
@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("plan", "--json"),
        *(("drift", "--format", format) for format in ("table", "json", "csv", "html", "sarif")),
        ("drift", "--full"),
        *(("check", "--format", format) for format in ("table", "json", "csv", "html", "sarif")),
        ("validate",),
    ],
    ids=" ".join,
)
def test_a_command_prints_nothing_that_acts(
    attacked: Bench,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(attacked.sandbox).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["tenantry", *arguments, str(attacked.folder)])

    with pytest.raises(SystemExit):
        cli.main()

    out, err = capfd.readouterr()
    lines = out + err
    if "--format" in arguments and "table" not in arguments:
        lines = re.sub(r"##|::", "", lines)  # a file is not the log of a CI job
    assert harmful_to_terminals(lines) == []
    if arguments[0] in ("plan", "drift"):
        assert "owned" in out, "the hostile text is shown"


@pytest.mark.demand("isolation", "text of tenants in terminal and logs")
def test_a_faulty_team_file_is_named_without_its_controls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "teams").mkdir()
    (tmp_path / "platform.yaml").write_text("name: Test\n")
    keys = {DECLARED: 1, "name": "mallory", "harbor": {"role": DECLARED}}
    (tmp_path / "teams" / "mallory.yaml").write_text(json.dumps(keys))
    monkeypatch.setattr(sys, "argv", ["tenantry", "validate", str(tmp_path)])

    with pytest.raises(SystemExit):
        cli.main()

    err = capfd.readouterr().err
    assert harmful_to_terminals(err) == []
    assert all(line.startswith("teams/mallory.yaml:") for line in err.splitlines())


@pytest.mark.demand("isolation", "text of tenants in terminal and logs")
def test_an_error_that_quotes_a_system_is_one_visible_line() -> None:
    error = SystemRefused("kubernetes", "PATCH /api/v1/x", LIVE, status=422)

    assert len(str(error).splitlines()) == 1
    assert visible(str(error)) == str(error)
    assert harmful_to_terminals(printed_lines(str(error))) == []
    assert visible(str(DeclarationError([LIVE]))) == str(DeclarationError([LIVE]))


# Logs


@pytest.mark.demand("isolation", "text of tenants in terminal and logs")
def test_a_line_break_forges_no_log_entry(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logger("tenantry.test").info("name: %s", f"{LIVE}\n12:00 | ERROR | forged")

    first, *more = caplog.messages[0].split("\n")
    assert first.startswith("name: ")
    assert more
    assert all(line.startswith("  ") for line in more)
    assert harmful_to_terminals(caplog.messages[0].replace("::", "").replace("##", "")) == []


# Markdown


ACTIVE = re.compile(
    r"<(img|a|h[1-6]|pre|table|ul|ol|em|strong|s|script|svg|iframe|blockquote|hr)\b"
)


@pytest.mark.demand("isolation", "text of tenants in Markdown")
@example("\t0")
@example("    0")
@example("  # heading")
@example(" 1. item")
@given(HOSTILE)
def test_text_in_markdown_stays_text(text: str) -> None:
    for shown in (markdown("{}", text), markdown("A {} b", text), code(text), escaped(text)):
        assert not ACTIVE.search(rendered(shown)), shown


@pytest.mark.demand("isolation", "text of tenants in Markdown")
@given(st.lists(HOSTILE, min_size=2, max_size=2))
def test_text_breaks_no_table(cells: list[str]) -> None:
    first, second = cells
    html = rendered("\n".join([table_head("a", "b"), table_row(first, code(second))]))

    assert html.count("<td>") == 2
    assert html.count("<tr>") == 2


@pytest.mark.demand("isolation", "text of tenants in Markdown")
@given(st.one_of(ANYTHING, st.from_regex(r"(https?://|www\.|ftp://|a@)[a-z]+\.[a-z]+")))
def test_an_address_does_not_become_a_link(text: str) -> None:
    """GitHub's Markdown, which Prefect's UI renders, turns plain addresses into links."""
    shown = markdown("see {}", text)

    assert not re.search(r"(https?|ftp)://|www\.|(?<!\\)@", shown, re.IGNORECASE)


@pytest.mark.demand("isolation", "text of tenants in Markdown")
@given(HOSTILE, HOSTILE)
def test_an_address_of_a_link_ends_no_link(text: str, path: str) -> None:
    html = rendered(link(f"x{text}", f"https://login.test/{path}"))

    assert html.count("<a ") == html.count('<a href="https://login.test/') == 1, html
    assert "<img" not in html


@given(HOSTILE)
def test_what_a_program_reads_of_a_cell_is_the_visible_text(text: str) -> None:
    assert unescaped(escaped(text)) == visible(text)


@pytest.mark.demand("isolation", "welcome pages, one for each team")
def test_the_welcome_page_shows_a_hostile_team_as_text(attacked: Bench) -> None:
    team = attacked.team("mallory")
    text = welcome.guide(team, "harbor.example.com", "platform", attacked.plan("mallory"))
    html = rendered(text)

    assert harmful_to_terminals(text) == []
    assert "<img" not in html
    assert "<a " not in html
    assert html.count("<h1>") == 1
    assert html.count("<h2>") == 3
    assert html.count("<table>") == 1


@pytest.mark.demand("isolation", "welcome pages, one for each team")
def test_a_registry_with_commands_in_its_address_gives_no_commands(attacked: Bench) -> None:
    text = welcome.guide(attacked.team("shop"), "a.example$(curl evil)", "platform")

    assert "docker --config" not in text


@pytest.mark.demand("isolation", "welcome pages, one for each team")
def test_each_team_has_a_page_of_its_own() -> None:
    """A page for several teams would show each team the text of the others."""
    source = (ROOT / "tasks" / "onboarding.py").read_text()

    assert source.count('artifact_key("welcome"') == 1
    assert 'artifact_key("welcome", team.name)' in source
    assert artifact_key("rotation", "a--b-c") != artifact_key("rotation", "a-b--c")


def test_no_artifact_of_a_team_has_the_key_of_another_artifact() -> None:
    """A team may have the name `platform` or `all-teams`."""
    text = (ROOT / "docs" / "flows.md").read_text()
    keys = re.findall(r"^\| (?:table|markdown|progress) \| `([^`]+)` \|", text, re.MULTILINE)
    of_teams = tuple({key.partition("<")[0] for key in keys if "<" in key})
    assert {"plan-", "welcome-", "difference-", "rotation-"} <= {*of_teams}
    assert [key for key in keys if "<" not in key and key.startswith(of_teams)] == []

    sources = [file for part in ("tasks", "flows") for file in (ROOT / part).glob("*.py")]
    published = re.compile(
        r'publish_(?:table|plan|progress)\(\s*"([^"]+)"|publish_pages\(\[\("([^"]+)"'
    )
    fixed = [one or other for file in sources for one, other in published.findall(file.read_text())]
    assert {"platform-plan", "all-teams-plan"} <= {*fixed}
    assert {*fixed} <= {*keys}, "docs/flows.md lists each artifact"


@pytest.mark.demand("isolation", "text of tenants in drift summary and reports")
def test_a_page_on_a_rotation_shows_errors_as_text(attacked: Bench) -> None:
    now = attacked.sandbox.clock.now()
    error = SystemRefused("kubernetes", "PATCH /api/v1/x", LIVE, status=422)
    text = page(Outcome("mallory", "pull", "failed", LIVE, error=error, done=(LIVE,)), now)

    assert harmful_to_terminals(text) == []
    assert not re.search(r"<(img|a|h2|pre|table)\b", rendered(text))


@pytest.mark.demand("isolation", "text of tenants in drift summary and reports")
def test_the_drift_summary_shows_hostile_values_as_text(attacked: Bench) -> None:
    report = _drift(attacked)
    text = summary.page(report, History.empty().after(report))
    html = rendered(text)

    assert "evil.example" in text
    assert harmful_to_terminals(text) == []
    assert not re.search(r"<(img|a|pre)\b", html)
    assert html.count("<table>") == 2


# Files


@pytest.mark.demand("isolation", "spreadsheets find no formula")
def test_a_spreadsheet_finds_no_formula(attacked: Bench) -> None:
    report = _drift(attacked)
    history = History.empty().after(report)
    kept: dict[str, bytes] = {}

    class Kept:
        name = "kept"

        def read(self, name: str) -> bytes | None:
            return kept.get(name)

        def write(self, name: str, content: bytes) -> None:
            kept[name] = content

    history.write(Kept())
    for text in (write("csv", report, history), kept["episodes.csv"].decode()):
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert any("evil.example" in cell for cell in cells)
        assert not [cell for cell in cells if re.match(r"\s*[=+@-]", cell)]
        assert harmful_to_terminals(re.sub("##|::", "", text)) == []
    assert History.read(Kept()).open_since() == history.open_since()


@pytest.mark.demand("isolation", "spreadsheets find no formula")
@pytest.mark.parametrize("start", ["", " ", "\t", "\n", "\r\n", "\u00a0", "\ufeff", "'", " \t\n "])
@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(1)", "\uff1d1"])
def test_a_formula_is_text_whatever_blanks_come_first(start: str, formula: str) -> None:
    assert csv_cell(start + formula) == f"'{start}{formula}"


@given(ANYTHING)
def test_a_cell_is_read_back_as_it_was(text: str) -> None:
    assert read_csv_cell(csv_cell(text)) == text


@pytest.mark.demand("isolation", "text of tenants in SARIF")
def test_sarif_has_no_links_and_no_invisible_characters(attacked: Bench) -> None:
    report = _drift(attacked)
    content = json.loads(write("sarif", report, History.empty().after(report)))

    for text in _texts(content):
        assert harmful_to_terminals(re.sub("##|::", "", text)) == []
    for result in content["runs"][0]["results"]:
        assert not re.search(r"(?<!\\)\]\(", result["message"]["text"])
        (place,) = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", uri)


@pytest.mark.demand("isolation", "text of tenants in drift summary and reports")
def test_the_html_report_shows_hostile_values_as_text(attacked: Bench) -> None:
    report = _drift(attacked)
    html = write("html", report, History.empty().after(report))

    assert "evil.example" in html
    assert "<img" not in html
    assert "javascript:" not in re.sub(r"\[click\]\(javascript:alert\)", "", html)
    assert harmful_to_terminals(re.sub("##|::", "", html)) == []


def test_a_finding_with_an_invisible_name_is_removed_by_the_name_in_the_report(
    attacked: Bench,
) -> None:
    with attacked.process(extras=True) as systems:
        teams = systems.state.pick(None)
        detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))
        (shown,) = [f.id for f in detected.report.findings if "harbor/member" in f.id]
        remedy = drift.choose(detected, "none", [shown.removeprefix("extra: ")])

    assert [change.action for change in remedy.changes] == ["delete"]


@given(HOSTILE)
def test_visible_text_stays_what_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert "\n" not in one_line(text)


# No other module writes output


WRITERS = {
    "print": {  # the method of a Terminal
        "tenantry/commands/reports.py",
        "tenantry/commands/tables.py",
    },
    "echo": {
        "tenantry/cli.py",
        "tenantry/commands/output.py",
        "tenantry/commands/policy.py",  # YAML without invisible characters
        "tenantry/commands/reports.py",
        "tenantry/commands/version.py",
    },
    "Console": set(),  # a Terminal escapes what it prints
    "getLogger": {"tenantry/text.py", "tenantry/confidential.py", "tasks/run_log.py"},
    "to_csv": {"tenantry/tables.py"},
    "Markdown": {"tenantry/text.py", "tenantry/welcome.py"},
    "create_artifact": {"tasks/pages.py"},
    "create_markdown_artifact": set(),
    "create_link_artifact": set(),
    "create_image_artifact": set(),
    "create_table_artifact": {"tasks/tables.py"},
    "create_progress_artifact": {"tasks/pages.py"},
    "update_progress_artifact": {"tasks/pages.py"},
    "emit_event": {"tasks/prefect_api.py"},
    "suspend_flow_run": {"tasks/approval.py"},
    "pause_flow_run": set(),
    "Completed": {"tasks/states.py"},
    "Failed": {"tasks/states.py"},
    "Cancelled": set(),
    "Crashed": set(),
}
"""The files that may call each function that writes output for users."""


def _calls() -> Iterator[tuple[str, str, ast.Call]]:
    for folder in ("tenantry", "tasks", "flows", "blocks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            if where.startswith("tenantry/sandbox/"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    yield where, name, node


def test_only_the_modules_that_escape_write_what_people_read() -> None:
    wrong = [
        f"{where}:{node.lineno}: {name}"
        for where, name, node in _calls()
        if name in WRITERS and where not in WRITERS[name]
    ]

    assert wrong == []


def test_templates_of_markdown_are_constants() -> None:
    """A template with an inserted value would not escape the value."""
    wrong = [
        f"{where}:{node.lineno}"
        for where, name, node in _calls()
        if name == "markdown" and node.args and not isinstance(node.args[0], ast.Constant)
    ]

    assert wrong == []


def _drift(bench: Bench) -> Any:
    with bench.process(extras=True) as systems:
        teams = systems.state.pick(None)
        return drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS)).report


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _texts(key)
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)
