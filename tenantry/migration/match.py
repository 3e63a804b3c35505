"""Matching of the realm's users with identities at the new provider.

A match is never guessed. A person with several candidates is reported as ambiguous.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tenantry.migration.case import fold
from tenantry.migration.identities import Match
from tenantry.migration.snapshot import Identity, Person


class MatchResult(NamedTuple):
    """The result of the match for one person."""

    state: Literal["matched", "unmatched", "ambiguous"]
    identity: Identity | None = None
    why: str = ""
    """Why there is no match."""


def match(
    people: Sequence[Person], identities: Sequence[Identity], by: Match
) -> dict[str, MatchResult]:
    """Match people with identities, independent of upper and lower case.

    Args:
        people: users of the realm.
        identities: all users of the new provider.
        by: the attribute that must be equal.

    Returns:
        The results, by the person's id.
    """
    candidates: dict[str, list[Identity]] = defaultdict(list)
    for identity in identities:
        if key := _identity_key(identity, by):
            candidates[fold(key)].append(identity)
    people_by_key = Counter(fold(key) for person in people if (key := _person_key(person, by)))
    results = {person.id: _match(person, by, candidates, people_by_key) for person in people}
    claims = Counter(result.identity.external_id for result in results.values() if result.identity)
    return {
        id: MatchResult("ambiguous", why="two people match the same user of the new provider")
        if result.identity and claims[result.identity.external_id] > 1
        else result
        for id, result in results.items()
    }


def _person_key(person: Person, by: Match) -> str:
    return person.email if by == "email" else person.username


def _identity_key(identity: Identity, by: Match) -> str:
    return {
        "email": identity.email,
        "username": identity.external_username,
        "mapping": identity.username,
    }[by]


def _match(
    person: Person,
    by: Match,
    candidates: dict[str, list[Identity]],
    people_by_key: Counter[str],
) -> MatchResult:
    key = _person_key(person, by)
    if not key:
        return MatchResult("unmatched", why="the user of the realm has no e-mail address")
    found = candidates.get(fold(key), [])
    if not found:
        why = f"no user of the new provider has this {_label(by)}"
        if by == "mapping":
            why = "the mapping file has no identity for this user"
        return MatchResult("unmatched", why=why)
    if len(found) > 1:
        spellings = {_identity_key(identity, by) for identity in found}
        detail = "spelled with different case" if len(spellings) > 1 else "spelled the same"
        why = f"{len(found)} users of the new provider have this {_label(by)}, {detail}"
        return MatchResult("ambiguous", why=why)
    if people_by_key[fold(key)] > 1:
        return MatchResult("ambiguous", why=f"several users of the realm have this {_label(by)}")
    identity = found[0]
    if by == "username" and _differ(person.email, identity.email):
        return MatchResult(
            "ambiguous",
            why="same user name but another e-mail address: the user name may have been reassigned",
        )
    return MatchResult("matched", identity)


def _label(by: Match) -> str:
    return {"email": "e-mail address", "username": "user name", "mapping": "user name"}[by]


def _differ(ours: str, theirs: str) -> bool:
    return bool(ours and theirs) and fold(ours) != fold(theirs)
