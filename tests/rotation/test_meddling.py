"""Whatever befalls a team's robots, in any order, leaves what one undisturbed run mends."""

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.bench import Bench
from tests.meddling import Mutex, at_once, machine
from tests.rotation_bench import SHOP, order, pairs_are_in_order, pass_time, run


def test_whatever_befalls_them_the_invariants_hold(bench: Bench) -> None:
    some = settings(max_examples=6, stateful_step_count=8, deadline=None, print_blob=True)
    run_state_machine_as_test(machine(bench), settings=some)


def test_of_two_rotations_at_once_one_rotates(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    pass_time(bench, hours=1)
    given, lock = order(bench, force=True), Mutex()
    rotated: list[bool] = []

    def rotate() -> None:
        with bench.process() as systems:
            outcomes = run(bench, given, systems=systems, lock=lock, purposes=["pull"])
            rotated.extend(outcome.rotated for outcome in outcomes.values())

    at_once(rotate, rotate, rotate)
    assert sorted(rotated) == [False, False, True]
    pairs_are_in_order(bench)
