"""What `make show-…` reports: a demand is held only if its tests ran and passed."""

from pathlib import Path

import pytest

from tests.show.report import Report, Shown
from tests.show.results import Results, run_tests

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("set-up")

@pytest.fixture
def breaks_later():
    yield
    raise RuntimeError("tear-down")

@pytest.mark.parametrize("way", ["a", "b"])
def test_passes(way): pass
def test_fails(): assert 0
@pytest.mark.skip
def test_skipped(): pass
def test_skips_itself(): pytest.skip("not here")
@pytest.mark.xfail
def test_expected_to_fail(): assert 0
def test_errors_in_set_up(broken): pass
def test_errors_in_tear_down(breaks_later): pass
"""


def written(folder: Path, text: str, name: str = "test_some.py") -> str:
    """Write a file of tests into a folder of its own configuration and return its path."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_tests(written(tmp_path_factory.mktemp("tests"), TESTS))


def test_only_what_ran_and_passed_is_held(found: Results) -> None:
    functions = dict.fromkeys(case.function for case in found)
    held = {name for name in functions if found.named(name).line("it works").held}

    assert held == {"test_passes"}
    assert len(functions) == 7
    assert not found.line("all of it").held
    assert "FAILED: " in found.line("all of it").figure


def test_a_renamed_test_is_not_held(found: Results) -> None:
    gone = found.named("test_renamed").line("it works")

    assert (gone.held, gone.figure) == (False, "NO TEST")
    assert not found.starting("test_renamed").line("it works").held
    assert not found.of("tests/renamed").line("it works").held
    (line,) = found.each("test_renamed", "served: {}")
    assert (line.held, line.figure) == (False, "NO TEST: test_renamed")


def test_each_case_of_a_test_has_a_line(found: Results) -> None:
    lines = found.each("test_passes", "served: {}")

    assert [line.demand for line in lines] == ["served: a", "served: b"]
    assert all(line.held for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "import no_such_module",
        pytest.param(
            "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)", marks=pytest.mark.long
        ),
        pytest.param(
            "import pytest\ndef test_a(): pass\ndef test_b(): pytest.exit('enough')",
            marks=pytest.mark.long,
        ),
    ],
    ids=["does not import", "pytest dies", "pytest is stopped"],
)
def test_a_run_that_did_not_reach_its_end_is_not_held(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    report = Report("Some")
    report.show(lambda: [run_tests(path).line("it works")])

    assert report.close() == 1


@pytest.mark.long
def test_a_failure_that_belongs_to_no_test_is_not_held(tmp_path: Path) -> None:
    written(
        tmp_path, "def pytest_sessionfinish(session):\n    session.exitstatus = 1\n", "conftest.py"
    )
    path = written(tmp_path, "def test_a(): pass")

    with pytest.raises(RuntimeError, match="pytest ended with status 1"):
        run_tests(path)


def test_a_missing_file_is_not_held(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pytest ended with status 4"):
        run_tests(str(tmp_path / "test_none.py"))


@pytest.mark.long
def test_nothing_selected_is_not_held(tmp_path: Path) -> None:
    found = run_tests(written(tmp_path, "def test_a(): pass"), "-k", "renamed")

    assert not found.line("it works").held


def test_a_report_ends_with_its_counts_and_the_exit_status(capsys) -> None:
    held, missed = Shown("works", "1 of 1", held=True), Shown("fails", "0 of 1", held=False)

    def broken() -> list[Shown]:
        """A measurement with a bug"""
        raise KeyError("figure")

    ends = []
    for measures in ([lambda: [held]], [lambda: [held, missed], broken, list], []):
        report = Report("Some")
        for measure in measures:
            report.show(measure)
        report.note("left out: a real Harbor")
        ends.append((report.close(), capsys.readouterr().out.splitlines()[-1]))

    assert ends == [
        (0, "1 held, 0 not held"),
        (1, "1 held, 3 not held"),
        (1, "0 held, 0 not held"),
    ]
