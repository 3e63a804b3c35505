"""The procedures of rotation, each of which is killed at each of its requests."""

from collections.abc import Callable
from typing import Any

from tests.support.crash import Check, Driver, Procedure
from tests.support.harness import Bench, Data
from tests.support.rotation_harness import (
    SPREADING,
    add_namespace,
    all_work,
    enabled,
    logins,
    none_works,
    order,
    pairs_are_in_order,
    pass_time,
    robots,
    run,
)


def due(bench: Bench, declared: Data) -> None:
    """Onboard a team and let its credential become due."""
    add_namespace(bench)
    bench.declare(declared, platform=SPREADING).onboard()
    pass_time(bench, days=20)


def rotation(bench: Bench, **asked: Any) -> Procedure:
    """Return a procedure that runs rotation in a new process, always with the same order."""
    given = order(bench, **asked)

    def procedure() -> None:
        with bench.process() as systems:
            for outcome in run(bench, given, systems=systems).values():
                if outcome.error is not None:
                    raise outcome.error

    return procedure


def _rotated(bench: Bench, old: dict[str, tuple[str, str]]) -> Check:
    """Return a check that the new credential is published, and that the old one still works."""

    def check() -> None:
        pairs_are_in_order(bench)
        assert logins(bench).items().isdisjoint(old.items())
        assert all_work(bench, old)

    return check


def rotate(bench: Bench) -> Driver:
    """Rotate to the other robot of the pair."""
    return Driver(bench.sandbox, rotation(bench), _rotated(bench, logins(bench)))


def retire(bench: Bench) -> Driver:
    """Disable the old robot after the overlap."""
    old = logins(bench)
    run(bench)
    pass_time(bench, hours=25)

    def check() -> None:
        pairs_are_in_order(bench)
        assert enabled(bench) == {"pull-b"}
        assert none_works(bench, old)

    return Driver(bench.sandbox, rotation(bench), check)


def delete(bench: Bench) -> Driver:
    """Delete the old robot after its time as a disabled one."""
    run(bench)
    pass_time(bench, hours=25)
    run(bench)
    pass_time(bench, days=8)

    def check() -> None:
        pairs_are_in_order(bench)
        assert set(robots(bench)) == {"pull-b"}

    return Driver(bench.sandbox, rotation(bench), check)


def compromised(bench: Bench) -> Driver:
    """Replace compromised credentials: the published one, and one that overlaps."""
    run(bench)
    old = logins(bench)
    pass_time(bench, hours=1)

    def check() -> None:
        pairs_are_in_order(bench)
        assert none_works(bench, old)
        assert len(robots(bench)) == 1

    return Driver(bench.sandbox, rotation(bench, compromised=True), check)


def repair(bench: Bench) -> Driver:
    """Replace a broken published credential. The old one stays: it may be all that works."""
    old = logins(bench)
    run(bench)
    pass_time(bench, hours=1)
    bench.systems.harbor_client.patch(f"/robots/{robots(bench)['pull-b'].id}", {})
    return Driver(bench.sandbox, rotation(bench), _rotated(bench, old))


WAYS: dict[str, Callable[[Bench], Driver]] = {
    each.__name__: each for each in (rotate, retire, delete, compromised, repair)
}
