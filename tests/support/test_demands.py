"""What `pytest --show` reports: a demand holds only if all its tests ran and passed."""

import textwrap
from collections.abc import Callable

import pytest

OPTIONS = """
import pytest

pytest_plugins = ["tests.support.demands"]

def pytest_addoption(parser):
    parser.addoption("--whole", action="store_true")
"""
TESTS = """
import pytest



@pytest.fixture
def broken():
    raise RuntimeError("set-up")

@pytest.fixture
def breaks_later():
    yield
    raise RuntimeError("tear-down")

@pytest.mark.demand("drift", "passes")
@pytest.mark.demand("drift", "each passes: {way}")
@pytest.mark.demand("drift", "passes with b", cases="b", sample=True)
@pytest.mark.parametrize("way", ["a", "b"])
def test_passes(way): pass
@pytest.mark.demand("drift", "fails")
def test_fails(): assert 0
@pytest.mark.demand("drift", "skipped")
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.demand("drift", "skips itself")
def test_skips_itself(): pytest.skip("not here")
@pytest.mark.demand("drift", "expected to fail")
@pytest.mark.xfail
def test_expected_to_fail(): assert 0
@pytest.mark.demand("drift", "errors in set-up")
def test_errors_in_set_up(broken): pass
@pytest.mark.demand("drift", "errors in tear-down")
def test_errors_in_tear_down(breaks_later): pass
@pytest.mark.demand("drift", "on a real server")
@pytest.mark.real
def test_real(): pass
@pytest.mark.demand("rotate", "of another suite")
def test_of_another_suite(): assert 0
def test_of_no_suite(): assert 0
"""

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that shows a suite of some tests: the exit status, and the printed lines."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text: str, *options: str, suite: str = "drift") -> tuple[int, list[str]]:
        pytester.makeini("[pytest]\nmarkers =\n  demand\n  real\n")
        pytester.makeconftest(OPTIONS)
        pytester.makepyfile(test_some=textwrap.dedent(text))
        found = pytester.runpytest_inprocess("--show", suite, *options)
        return int(found.ret), found.outlines

    return run


def held(lines: list[str]) -> set[str]:
    return {line[10:].partition(": ")[0] for line in lines if line.startswith("held ")}


def test_only_what_ran_and_passed_is_held(run: Run) -> None:
    status, lines = run(TESTS)

    assert status == 1
    assert held(lines) == {"passes", "each passes", "passes with b", "on a real server"}
    assert lines[-1] == "5 held, 6 not held"
    assert "held      passes: 2 of 2 cases" in lines
    assert "held      each passes: b: 1 of 1 cases" in lines
    assert "NOT HELD  fails: 0 of 1 cases; FAILED: test_fails" in lines
    assert "NOT HELD  skipped: 0 of 1 cases; SKIPPED: test_skipped" in lines
    assert not any("another suite" in line for line in lines)


def test_a_sample_has_the_demands_that_are_marked_so(run: Run) -> None:
    status, lines = run(TESTS, "--sample")

    assert (status, lines[-1]) == (0, "1 held, 0 not held")
    assert held(lines) == {"passes with b"}


def test_real_servers_can_be_left_out(run: Run) -> None:
    _, lines = run(TESTS, "--no-real")

    assert "on a real server" not in held(lines)
    assert lines[-1] == "4 held, 6 not held"


def test_a_demand_whose_tests_were_not_all_run_is_not_held(run: Run) -> None:
    status, lines = run(TESTS, "-k", "test_passes and not b")

    assert status == 1
    assert "held      each passes: a: 1 of 1 cases" in lines
    assert "NOT HELD  passes: 1 of 2 cases" in lines
    assert "NOT HELD  fails: 0 of 1 cases; NO TEST RAN" in lines


def test_a_suite_without_demands_is_not_held(run: Run) -> None:
    assert run(TESTS, suite="migrate")[0] == 1


def test_a_line_is_printed_as_soon_as_it_is_known(run: Run) -> None:
    _, lines = run(TESTS)

    order = [line[10:].partition(": ")[0] for line in lines if line.startswith(("held ", "NOT "))]
    assert order[:4] == ["each passes", "passes with b", "each passes", "passes"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('import no_such_module\n# demand("drift", "x")', 2),
        (
            "import pytest\n@pytest.mark.demand('drift', 'x')\ndef test_a(): pytest.exit('enough')",
            2,
        ),
    ],
    ids=["does not import", "pytest is stopped"],
)
def test_a_run_that_did_not_reach_its_end_fails(text: str, status: int, run: Run) -> None:
    found, lines = run(text.replace("'", '"'))

    assert (found, held(lines)) == (status, set())


def test_what_a_test_recorded_is_printed(run: Run) -> None:
    text = """
        import pytest

        pytestmark = pytest.mark.demand("drift", "all")

        @pytest.mark.demand("drift", "alone")
        @pytest.mark.demand("drift", "alone, one of its figures", "writes")
        def test_alone(record_property, figure):
            figure("2 robots")
            record_property("writes", 3)
            record_property("reads", 4)

        @pytest.mark.demand("drift", "two", "crashes")
        @pytest.mark.parametrize("number", [5, 6])
        def test_two(number, record_property, figure):
            record_property("crashes", number)
        """
    status, lines = run(text)

    assert (status, lines[-1]) == (0, "4 held, 0 not held")
    assert "held      alone: 2 robots; writes: 3; reads: 4" in lines
    assert "held      alone, one of its figures: writes: 3" in lines
    assert "held      two: 2 of 2 cases; crashes: 5, 6" in lines
    assert "held      all: 3 of 3 cases" in lines


def test_a_file_without_a_demand_of_the_suite_is_not_imported(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_other="raise RuntimeError('imported')")

    status, lines = run(
        "import pytest\n@pytest.mark.demand(\n    'drift', 'x')\ndef test_a(): pass"
    )

    assert status == 1, "the marker is written with other quotation marks than the formatter's"
    status, lines = run(
        'import pytest\n@pytest.mark.demand(\n    "drift", "x")\ndef test_a(): pass'
    )
    assert (status, lines[-1]) == (0, "1 held, 0 not held")


def test_a_folder_can_be_marked(run: Run, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("folder")
    (folder / "conftest.py").write_text(
        "from tests.support.demands import mark_folder\n"
        'def pytest_itemcollected(item): mark_folder(item, "drift", "all of it", long=False)\n'
    )
    (folder / "test_in_it.py").write_text(
        "import pytest\ndef test_a(): pass\n@pytest.mark.long\ndef test_b(): assert 0\n"
    )
    pytester.makepyfile(test_beside="def test_c(): assert 0")

    _, lines = run("def test_a(): assert 0")

    assert "held      all of it: 1 of 1 cases" in lines
