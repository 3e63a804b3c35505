"""The ways a rotation can go, each to be killed at any of its requests."""

from collections.abc import Callable
from typing import Any

from tests.support.crash import Check, Driver, Procedure
from tests.support.harness import Bench, Data
from tests.support.rotation_harness import (
    SPREADING,
    add_namespace,
    all_open,
    enabled,
    logins,
    none_opens,
    order,
    pairs_are_in_order,
    pass_time,
    robots,
    run,
)


def due(bench: Bench, declared: Data) -> None:
    """A team whose credential is due."""
    add_namespace(bench)
    bench.declare(declared, platform=SPREADING).onboard()
    pass_time(bench, days=20)


def rotation(bench: Bench, **asked: Any) -> Procedure:
    """One run, as a process does it; run again, it has the order that it was first given."""
    given = order(bench, **asked)

    def procedure() -> None:
        with bench.process() as systems:
            for outcome in run(bench, given, systems=systems).values():
                if outcome.error is not None:
                    raise outcome.error

    return procedure


def _rotated(bench: Bench, old: dict[str, tuple[str, str]]) -> Check:
    """The new one is everywhere, and the old one works on."""

    def check() -> None:
        pairs_are_in_order(bench)
        assert logins(bench).items().isdisjoint(old.items())
        assert all_open(bench, old)

    return check


def rotate(bench: Bench) -> Driver:
    """The other robot takes its turn."""
    return Driver(bench.sandbox, rotation(bench), _rotated(bench, logins(bench)))


def retire(bench: Bench) -> Driver:
    """The overlap is over."""
    old = logins(bench)
    run(bench)
    pass_time(bench, hours=25)

    def check() -> None:
        pairs_are_in_order(bench)
        assert enabled(bench) == {"pull-b"}
        assert none_opens(bench, old)

    return Driver(bench.sandbox, rotation(bench), check)


def delete(bench: Bench) -> Driver:
    """The disabled robot was kept for long enough."""
    run(bench)
    pass_time(bench, hours=25)
    run(bench)
    pass_time(bench, days=8)

    def check() -> None:
        pairs_are_in_order(bench)
        assert set(robots(bench)) == {"pull-b"}

    return Driver(bench.sandbox, rotation(bench), check)


def compromised(bench: Bench) -> Driver:
    """Of two old ones: the live one, and one that overlaps."""
    run(bench)
    old = logins(bench)
    pass_time(bench, hours=1)

    def check() -> None:
        pairs_are_in_order(bench)
        assert none_opens(bench, old)
        assert len(robots(bench)) == 1

    return Driver(bench.sandbox, rotation(bench, compromised=True), check)


def mend(bench: Bench) -> Driver:
    """What is published is dead. The old one may be all that works: it is not made room of."""
    old = logins(bench)
    run(bench)
    pass_time(bench, hours=1)
    bench.systems.harbor_client.patch(f"/robots/{robots(bench)['pull-b'].id}", {})
    return Driver(bench.sandbox, rotation(bench), _rotated(bench, old))


WAYS: dict[str, Callable[[Bench], Driver]] = {
    each.__name__: each for each in (rotate, retire, delete, compromised, mend)
}
