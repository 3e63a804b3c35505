"""Round trips: a platform whose declared state and marks are lost is imported and adopted again."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tenantry.resources import MARK_PREFIXES
from tests.isolation.snapshot import Part, everything
from tests.lifecycle.prerequisites import create_prerequisites
from tests.lifecycle.round_trip import RoundTrip, travel
from tests.lifecycle.site import Site
from tests.support.demands import Figure
from tests.support.harness import Data, FaultySandbox, admit, connections, prepare, write
from tests.support.varied_teams import VariedTeams

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

SEED = 21
Content = dict[Part, Any]


@dataclass
class Travelled:
    """A round trip on the sandbox.

    Attributes:
        teams: the number of teams.
        trip: the round trip.
        before: the content of the systems before it, without marks.
        after: the content of the systems after it, without marks.
    """

    teams: int
    trip: RoundTrip
    before: Content
    after: Content

    @property
    def reissued(self) -> int:
        """The number of robots and clients whose secret has changed."""
        return sum(
            self.after.get(part, {}).get(field) != value.get(field)
            for part, value in self.before.items()
            for field in ("secret", "secret_hash")
            if isinstance(value, dict)
        )


def travel_on_sandbox(teams: list[Data], platform: Data, folder: Path) -> Travelled:
    """Onboard teams on a sandbox of their own, and make the round trip."""
    with FaultySandbox() as sandbox:
        prepare(sandbox)
        site = Site(connections(sandbox), folder, clock=sandbox.clock.now)
        admit(write(folder, *teams, platform=platform))
        with site.systems() as systems:
            create_prerequisites(systems)
        site.onboard()
        before = unmarked(sandbox)
        trip = travel(site, {team["name"]: team["group"] for team in teams if "group" in team})
        return Travelled(len(teams), trip, before, unmarked(sandbox))


@pytest.fixture(scope="module")
def travelled(whole: bool, tmp_path_factory: pytest.TempPathFactory) -> Travelled:
    """Make the round trip with 100 varied teams (with `--whole`, or 5)."""
    varied = VariedTeams(SEED, renamed=True)
    folder = tmp_path_factory.mktemp("varied") / "state"
    return travel_on_sandbox(varied.contents(100 if whole else 5), varied.platform(), folder)


def varied_demand(text: str) -> Callable[[Any], Any]:
    """Mark a test with a demand on the round trip of varied teams."""
    return pytest.mark.demand("lifecycle", f"round trip of varied teams: {text}", sample=True)


@varied_demand("the plan after the import contains only adoption")
def test_the_plan_after_the_import_contains_only_adoption(
    travelled: Travelled, figure: Figure
) -> None:
    planned = travelled.trip.planned
    adopted = len(planned["adopt"])
    figure(f"{travelled.teams} teams, {adopted} resources adopted")
    assert planned.keys() == {"adopt", "record"}
    assert len(planned["record"]) == travelled.teams
    assert adopted > 10 * travelled.teams


@varied_demand("after the adoption the plan is empty, and no drift is found")
def test_after_the_adoption_nothing_is_left_to_do(travelled: Travelled, figure: Figure) -> None:
    found = [str(finding.resource) for finding in travelled.trip.findings]
    figure(f"{sum(map(len, travelled.trip.after.values()))} changes, {len(found)} findings")
    assert travelled.trip.after == {}
    assert found == []


@varied_demand("a second import changes no byte")
def test_a_second_import_changes_no_byte(travelled: Travelled, figure: Figure) -> None:
    figure(f"{len(travelled.trip.files)} files")
    assert len(travelled.trip.files) == travelled.teams + 1
    assert travelled.trip.second == travelled.trip.files


@varied_demand("adoption re-issues no credential, and changes nothing but marks")
def test_adoption_changes_nothing_but_marks(travelled: Travelled, figure: Figure) -> None:
    figure(f"{travelled.reissued} credentials re-issued, {len(travelled.after)} objects compared")
    assert travelled.reissued == 0
    assert travelled.after.keys() == travelled.before.keys()
    parts = travelled.before.items()
    assert [
        line for part, value in parts for line in _diff(part, value, travelled.after[part])
    ] == []


# The content of the systems without marks

_CHANGING = (
    *("resourceVersion", "managedFields", "generation"),
    *("updated", "update_time", "modification_time"),
)


def unmarked(sandbox: FaultySandbox) -> Content:
    """Return the content of the systems, without marks, versions and the audit log."""
    return {
        part: _without_marks(json.loads(content))
        for part, content in everything(sandbox).items()
        if part[:2] not in (("harbor", "audit"), ("harbor", "audit_logs"))
    }


def _without_marks(value: Any) -> Any:
    if isinstance(value, list):
        items = [_without_marks(item) for item in value]
        # The permissions of a robot have no order.
        return sorted(items) if all(isinstance(item, list) for item in items) else items
    if not isinstance(value, dict):
        return value
    kept = {
        key: below
        for key, each in value.items()
        if not key.startswith(MARK_PREFIXES) and key not in _CHANGING
        if (below := _without_marks(each)) != {}
    }
    if str(kept.get("description")).startswith("Managed by Tenantry"):
        kept["description"] = ""
    return kept


def _diff(part: Part, old: Any, new: Any) -> Iterator[str]:
    """Yield the fields in which two values differ, each with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _diff((*part, key), old.get(key), new.get(key))
    elif old != new:
        yield f"{'/'.join(part)}: {old!r} -> {new!r}"
