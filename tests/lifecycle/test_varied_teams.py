"""The generated teams of this folder: they are reproducible, and every field of a team file occurs."""

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from tenantry.declared import Team
from tenantry.declared.types import Model
from tests.isolation.snapshot import everything
from tests.lifecycle.prerequisites import create_prerequisites
from tests.lifecycle.test_round_trip import SEED
from tests.support.harness import Bench, admit, write
from tests.support.unmark import remove_marks, rename_mappers
from tests.support.varied_teams import VariedTeams

_NAMES = re.compile(r"tenantry(-(allow|default|team)[a-z-]*)?")
"""Names of objects in a team's namespaces, such as `tenantry-allow-dns`. They are no marks."""


def test_the_same_seed_gives_the_same_teams() -> None:
    teams = VariedTeams(3).contents(20)
    assert VariedTeams(3).contents(20) == teams
    assert VariedTeams(4).contents(20) != teams


def test_every_field_of_a_team_file_occurs() -> None:
    given = set().union(*map(_paths, VariedTeams(SEED, renamed=True).contents(100)))
    declarable = {path for path in _fields(Team) if not path.startswith("offboarding")}
    assert declarable - given == set()


def _fields(model: type[Model], before: str = "") -> Iterator[str]:
    """Yield the paths of all fields of a model and of the models in it, without keys of mappings."""
    for name, field in model.model_fields.items():
        yield before + name
        for below in _models_in(field.annotation):
            yield from _fields(below, f"{before}{name}.")


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated, dict, list):
        for argument in get_args(annotation):
            yield from _models_in(argument)


_BY_KEY = ("robots", "further_namespaces", "oidc_clients", "routes")
"""The fields whose keys are names."""


def _paths(value: Any, before: str = "") -> set[str]:
    """Return the paths of all fields that a team file gives, without keys of mappings."""
    if isinstance(value, list):
        return set().union(*(_paths(item, before) for item in value))
    if not isinstance(value, Mapping):
        return set()
    found: set[str] = set()
    for key, below in value.items():
        parts = list(below.values()) if before + key in _BY_KEY else below
        found |= {before + key} | _paths(parts, f"{before}{key}.")
    return found


def test_no_mark_is_left(bench: Bench) -> None:
    varied = VariedTeams(2)
    admit(write(bench.folder, *varied.contents(6), platform=varied.platform()))
    create_prerequisites(bench.load().systems)
    for team in bench.teams:
        bench.onboard(team.name)

    assert remove_marks(bench.systems) > 50
    assert rename_mappers(bench.systems) == 6

    left = {
        word
        for part, content in everything(bench.sandbox).items()
        if part[:2] != ("harbor", "audit")
        for word in re.findall(r"[^\s\"]*tenantry[^\s\"]*", content, re.IGNORECASE)
    }
    assert [word for word in left if not _NAMES.fullmatch(word)] == []
    assert remove_marks(bench.systems) == 0
