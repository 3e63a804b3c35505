"""A migration is killed at each of its requests, and run again; and what it costs is counted.

At some requests (`make test-long`); at all of them with `--whole` as in `make show-migrate`.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.harness import Bench, FaultySandbox, prepare
from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_crash import WAYS, migrate
from tests.support.migration_harness import RECREATE, MigrationBench
from tests.support.wire import Wire, no_delays, one_worker

pytestmark = pytest.mark.demand("migrate", "all of tests/migration/test_crash.py")

Record = Callable[[str, object], None]


@pytest.mark.demand(
    "migrate",
    "{way}, 5 users: killed before and after each request, its answer lost too; no "
    "user is lost or linked twice, all rights as before",
)
@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_after_a_kill_at_any_request_the_next_run_continues(
    way: str, bench: Bench, whole: bool, record_property: Record
) -> None:
    driver = WAYS[way](bench, 5 if whole else 2)
    crashes = driver.everywhere(every=1 if whole else 9)
    record_property("crashes", crashes)
    assert crashes > (10 if whole else 1)


@pytest.mark.demand("migrate", "the runs that continue are killed too, seeded", "crashes")
@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_the_run_that_goes_on_may_be_killed_too(
    seed: int, bench: Bench, whole: bool, record_property: Record
) -> None:
    runs = 20 if whole else 2
    crashes = migrate(MigrationBench(bench, people=5 if whole else 2)).seeded(seed, runs, crashes=3)
    record_property("crashes", crashes)
    assert crashes >= runs


def counted(steps: dict[str, Callable[[], object]]) -> Counter[str]:
    """How many requests each step makes, by method."""
    counts: Counter[str] = Counter()
    for name, step in steps.items():
        with no_delays(), one_worker(), Wire() as wire:
            step()
        counts.update(f"{name}: {request.method}" for request in wire.requests)
    return counts


def requests(people: int, folder: Path) -> Counter[str]:
    """How many it takes to link people."""
    with FaultySandbox() as sandbox, Bench(prepare(sandbox), folder / "state") as bench:
        made = MigrationBench(bench, people=people)
        return counted(
            {
                "look and export": lambda: made.migrate(until="exported"),
                "link": lambda: made.migrate(until="moved"),
                "switch": made.migrate,
                "finish": made.finish,
            }
        )


@pytest.mark.demand("migrate", "the exact requests a user")
def test_requests_per_additional_person(tmp_path: Path) -> None:
    """Links, groups and roles, and the user in Harbor; then the link, looked for by both ends."""
    few, more = requests(2, tmp_path / "few"), requests(4, tmp_path / "more")

    assert more - few == {"look and export: GET": 2 * 4, "link: GET": 2 * 2, "link: POST": 2 * 1}
    assert few - more == {}


def remade_requests(people: int, folder: Path) -> Counter[str]:
    """The same, where people are made anew and everybody comes back at once."""
    with FaultySandbox() as sandbox, Bench(prepare(sandbox), folder / "state") as bench:
        made = MigrationBench(bench, people=people)
        counts = counted(
            {
                "look and export": lambda: made.migrate(RECREATE, until="exported"),
                "make anew": lambda: made.migrate(until="moved"),
                "switch": made.migrate,
            }
        )
        for user in made.users():
            made.log_in(user.username)
        return counts + counted({"come back": made.finish})


@pytest.mark.demand("migrate", "the exact requests a user who is re-created")
@pytest.mark.long
def test_requests_per_additional_person_who_is_recreated(tmp_path: Path) -> None:
    """Credentials too; all of it once more, the identity's holder, and both ends of the import."""
    few, more = remade_requests(2, tmp_path / "few"), remade_requests(4, tmp_path / "more")

    assert more - few == {
        "look and export: GET": 2 * 5,
        "make anew: GET": 2 * 9,
        "make anew: DELETE": 2 * 2,
        "make anew: POST": 2 * 1,
        "come back: GET": 2 * 1,
    }
    assert few - more == {}


def issuer_requests(people: int, folder: Path) -> Counter[str]:
    """The same, where Harbor's issuer changes and everybody comes back at once."""
    with FaultySandbox() as sandbox, Bench(prepare(sandbox), folder / "state") as bench:
        made = IssuerBench(bench, people=people)

        def back() -> None:
            with made.process() as migration:
                migration.follow_up()

        counts = counted(
            {
                "look and export": lambda: made.migrate(until="exported"),
                "switch": lambda: made.migrate(until="switched"),
                "delete": made.migrate,
            }
        )
        made.log_in_again(TO)
        return counts + counted({"come back": back})


@pytest.mark.demand("migrate", "the exact requests a user where the issuer changes")
@pytest.mark.long
def test_requests_per_additional_person_when_the_issuer_changes(tmp_path: Path) -> None:
    """The user in Harbor, and groups in both realms; the user twice and the deletion; the return."""
    few, more = issuer_requests(2, tmp_path / "few"), issuer_requests(4, tmp_path / "more")

    assert more - few == {
        "look and export: GET": 2 * 3,
        "delete: GET": 2 * 2,
        "delete: DELETE": 2 * 1,
        "come back: GET": 2 * 1,
    }
    assert few - more == {}
