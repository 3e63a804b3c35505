"""The sample: drawn once for the baseline, and again on other code so that it stays comparable."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from tests.mutants.population import Key, Mutant

SEED = "tenantry"


class Match(StrEnum):
    """How a mutant of the sample relates to the baseline."""

    SAME = "same statement"
    RENAMED = "same statement with other names or texts"
    DRAWN = "newly drawn"


@dataclass(frozen=True)
class Earlier:
    """A mutant of the baseline."""

    key: Key
    shape: str | None


@dataclass(frozen=True)
class Chosen:
    """A mutant of the sample.

    Attributes:
        earlier: The mutant of the baseline that it corresponds to; None if it is newly drawn.
    """

    mutant: Mutant
    match: Match
    earlier: Key | None = None


def choose(
    population: Sequence[Mutant],
    count: int,
    baseline: Sequence[Earlier] = (),
    accept: Callable[[Mutant], bool] = lambda mutant: True,
) -> list[Chosen]:
    """Return the sample of an area: what remains of the baseline, filled up by a seeded draw.

    Args:
        population: All mutants of the area.
        count: The size of the sample. The sample is smaller if the population is.
        baseline: The area's mutants of the baseline.
        accept: Whether a mutant can be run. It is asked for mutants that would be chosen only.
    """
    chosen = [found for found in _find_again(population, baseline) if accept(found.mutant)]
    taken = {found.mutant.key.statement for found in chosen}
    by_statement: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in population:
        if mutant.key.statement not in taken:
            by_statement[mutant.key.statement].append(mutant)
    for statement in sorted(by_statement, key=_rank):
        if len(chosen) >= count:
            break
        mutants = sorted(by_statement[statement], key=_rank_in_statement)
        drawn = next((mutant for mutant in mutants if accept(mutant)), None)
        if drawn is not None:
            chosen.append(Chosen(drawn, Match.DRAWN))
    return sorted(chosen[:count], key=lambda found: found.mutant.key)


def _find_again(population: Sequence[Mutant], baseline: Sequence[Earlier]) -> list[Chosen]:
    """Return the mutants that correspond to one of the baseline: by statement, else by shape."""
    by_key = {mutant.key: mutant for mutant in population}
    # An identical statement leaves no doubt, so it goes to the mutant that it was.
    same = {earlier.key for earlier in baseline if earlier.key in by_key}
    by_shape = {
        (mutant.key.operator, mutant.shape, mutant.key.ordinal): mutant
        for mutant in population
        if mutant.shape is not None and mutant.key not in same
    }
    found = []
    for earlier in baseline:
        if earlier.key in same:
            found.append(Chosen(by_key[earlier.key], Match.SAME, earlier.key))
        elif earlier.shape is not None:
            shape = (earlier.key.operator, earlier.shape, earlier.key.ordinal)
            if renamed := by_shape.get(shape):
                found.append(Chosen(renamed, Match.RENAMED, earlier.key))
    return found


def count_matches(sample: Iterable[Chosen]) -> str:
    """Return how many mutants of a sample are the baseline's, for a message."""
    counts = Counter(chosen.match for chosen in sample)
    return ", ".join(f"{counts[match]} {match}" for match in Match)


def _rank(text: str) -> str:
    """Return a pseudorandom order that depends on nothing but the seed and the text."""
    return sha256(f"{SEED}\n{text}".encode()).hexdigest()


def _rank_in_statement(mutant: Mutant) -> tuple[str, str]:
    """Return the order of a statement's mutants: an operator with many replacements is drawn no more often."""
    key = mutant.key
    return _rank(f"{key.family} {key.ordinal} {key.statement}"), _rank(key.id)
