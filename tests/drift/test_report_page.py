"""The HTML report in a browser: everything fits, and each finding shows its remedy."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tenantry.drift.history import History
from tenantry.drift.reports import write
from tenantry.resources import Id
from tenantry.systems.kubernetes.kinds import NETWORK_POLICY
from tests.drift.test_reports import ALL, NOW, finding, report
from tests.support.browser import open_ui

ENDLESS = finding(6, resource=Id(NETWORK_POLICY, "team-t6/" + "n" * 200), detail="w" * 400)


def test_nothing_overflows_and_every_finding_shows_its_remedy(tmp_path: Path) -> None:
    found = replace(ALL, findings=(*ALL.findings, ENDLESS))
    before = report(finding(0), finding(9), now=NOW - timedelta(days=1))
    path = tmp_path / "drift.html"
    path.write_text(write("html", found, History.empty().after(before).after(found)))

    with open_ui() as page:
        for width in (420, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(path.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            wide = page.evaluate("document.documentElement.scrollWidth")
            cells = page.locator("#findings td.remedy").all()
            boxes = [cell.bounding_box() for cell in cells]

            assert wide <= width
            assert len(cells) == len(found.findings)
            assert all(cell.inner_text().strip() for cell in cells)
            assert all(box and box["x"] + box["width"] <= width for box in boxes)
