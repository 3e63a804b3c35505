"""A call that declares one team reads each file of the declared state once."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenantry.declared import Team
from tenantry.declared.reading import load
from tenantry.declared.saving import propose, save
from tests.support.demands import Figure
from tests.support.harness import write

TEAMS = 20
_counting: list[Counter[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _counting and event == "open" and isinstance(arguments[1], str) and "r" in arguments[1]:
        path = Path(os.fsdecode(arguments[0])) if isinstance(arguments[0], str | bytes) else None
        if path and path.suffix == ".yaml":
            _counting[-1][path.name] += 1


sys.addaudithook(_audit)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count how often each YAML file is opened for reading."""
    counter: Counter[str] = Counter()
    _counting.append(counter)
    try:
        yield counter
    finally:
        _counting.remove(counter)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    teams = ({"name": f"team{number}", "contact": "a"} for number in range(TEAMS))
    folder = write(tmp_path / "state", *teams)
    age(folder)
    return folder


def age(folder: Path) -> None:
    """Make all files look as if they had been written an hour ago."""
    for path in folder.rglob("*.yaml"):
        os.utime(path, (time.time() - 3600,) * 2)


def others(counter: Counter[str], name: str) -> set[int]:
    """Return how often the files of other teams were read."""
    return {counter[f"team{number}.yaml"] for number in range(TEAMS) if f"team{number}" != name}


def team(name: str) -> Team:
    return Team.model_validate({"name": name, "contact": "b"})


@pytest.mark.demand("speed", "saving one team: each file is read once")
@pytest.mark.parametrize("name", ["team7", "added"])
def test_each_file_is_read_once(name: str, folder: Path, figure: Figure) -> None:
    with counted() as counter:
        save(folder, propose(folder, team(name)))
    figure(f"{counter.total()} reads for {TEAMS} teams")
    assert others(counter, name) == {1}
    assert counter["platform.yaml"] == 1
    assert load(folder).teams[name].contact == "b"


CHANGES: dict[str, Callable[[Path], object]] = {
    "a changed file": lambda folder: (folder / "teams" / "team3.yaml").write_text("name: team3\n"),
    "a new file": lambda folder: (folder / "teams" / "team99.yaml").write_text("name: team99\n"),
    "a removed file": lambda folder: (folder / "teams" / "team3.yaml").unlink(),
    "a changed platform": lambda folder: (folder / "platform.yaml").write_text("name: Other\n"),
    "files that were written right before": lambda folder: None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_all_files_are_read_again_after_a_change(change: str, folder: Path) -> None:
    if change == "files that were written right before":
        os.utime(folder / "teams" / "team3.yaml")
    proposal = propose(folder, team("added"))
    CHANGES[change](folder)
    with counted() as counter:
        saved = save(folder, proposal)
    assert others(counter, "team3") == {1}
    assert sorted(saved.teams) == sorted(load(folder).teams)
