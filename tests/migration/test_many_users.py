"""Five thousand users on the sandbox (with `--whole`, or a hundred), moved by processes of their own."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.migration.many_users import (
    Step,
    change_issuer,
    in_own_process,
    re_create_users,
    replace_provider,
    restore_after_change_of_issuer,
    restore_re_created_users,
)
from tests.support.demands import Figure
from tests.support.harness import Bench, FaultySandbox, prepare
from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_harness import NEW, MigrationBench

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

TEAMS = 6


class Moved(NamedTuple):
    """What moving users took: the number of users, those who were moved, requests and steps."""

    users: int
    through: int
    requests: int
    steps: list[Step]


def linked_to_another_provider(bench: Bench, users: int) -> Moved:
    made = MigrationBench(bench, people=users, teams=TEAMS)
    bench.sandbox.requests.reset()
    steps = in_own_process(replace_provider, bench, made.issuer)
    requests = bench.sandbox.requests.total()
    return Moved(users, len(made.links(NEW)), requests, steps)


def re_created(bench: Bench, users: int) -> Moved:
    made = MigrationBench(bench, people=users, teams=TEAMS)
    before = {user.id for user in made.users()}
    bench.sandbox.requests.reset()
    steps = in_own_process(re_create_users, bench, made.issuer)
    for user in made.users():
        made.log_in(user.username)
    steps += in_own_process(restore_re_created_users, bench, made.issuer)
    requests = bench.sandbox.requests.total()
    new = {user.id for user in made.users()} - before
    harbor = bench.sandbox.harbor.users.values()
    known = {user.subiss.removesuffix(made.issuer) for user in harbor}
    return Moved(users, len(new & known), requests, steps)


def of_another_issuer(bench: Bench, users: int) -> Moved:
    made = IssuerBench(bench, people=users, teams=TEAMS)
    bench.sandbox.requests.reset()
    steps = in_own_process(change_issuer, bench)
    made.log_in_again(TO)
    steps += in_own_process(restore_after_change_of_issuer, bench)
    requests = bench.sandbox.requests.total()
    return Moved(users, len({*made.names} & {*made.rights()["people"]}), requests, steps)


SITUATIONS: dict[str, Callable[[Bench, int], Moved]] = {
    "another provider, linked": linked_to_another_provider,
    "re-created, and returned": re_created,
    "another issuer, returned": of_another_issuer,
}


@pytest.fixture(scope="module", params=SITUATIONS)
def moved(
    request: pytest.FixtureRequest, whole: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("many")
    with FaultySandbox() as sandbox, Bench(prepare(sandbox), folder / "state") as bench:
        yield SITUATIONS[request.param](bench, 5000 if whole else 100)


@pytest.mark.demand("migrate", "5,000 users, {moved}: minutes, not hours")
def test_many_users_take_minutes(moved: Moved, figure: Figure) -> None:
    minutes = sum(step.seconds for step in moved.steps) / 60
    steps = ", ".join(f"{step.name} {step.seconds:.0f} s" for step in moved.steps)
    figure(f"{minutes:.1f} min ({steps})")
    assert minutes < 60


@pytest.mark.demand("migrate", "5,000 users, {moved}: all of them")
def test_all_of_many_users_are_moved(moved: Moved, figure: Figure) -> None:
    each = moved.requests / moved.users
    figure(f"{moved.through} of {moved.users}; {each:.1f} requests a user")
    assert moved.through == moved.users


@pytest.mark.demand("migrate", "5,000 users, {moved}: memory is flat once all are read")
def test_memory_is_flat_once_all_users_are_read(moved: Moved, figure: Figure) -> None:
    first, last = moved.steps[0].memory, moved.steps[-1].memory
    figure(f"peak {first} MB after the inspection, {last} MB at the end")
    assert last - first < 100
