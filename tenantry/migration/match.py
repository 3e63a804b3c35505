"""Who is who at the new provider. It is never guessed: whoever could be two is told of."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tenantry.migration.case import fold
from tenantry.migration.identities import Match
from tenantry.migration.snapshot import Identity, Person


class MatchResult(NamedTuple):
    """What was found for a person."""

    state: Literal["matched", "unmatched", "ambiguous"]
    identity: Identity | None = None
    why: str = ""


def match(
    people: Sequence[Person], identities: Sequence[Identity], by: Match
) -> dict[str, MatchResult]:
    """Finds everybody at the new provider; upper and lower case are the same.

    Args:
        people: users of the realm.
        identities: everybody at the new provider.
        by: what they are matched by.

    HarborUsers:
        What was found, by the person's id.
    """
    there: dict[str, list[Identity]] = defaultdict(list)
    for identity in identities:
        if key := _identity_key(identity, by):
            there[fold(key)].append(identity)
    ours = Counter(fold(key) for person in people if (key := _key(person, by)))
    found = {person.id: _found(person, by, there, ours) for person in people}
    claimed = Counter(each.identity.external_id for each in found.values() if each.identity)
    return {
        id: MatchResult("ambiguous", why="two people here would be one there")
        if each.identity and claimed[each.identity.external_id] > 1
        else each
        for id, each in found.items()
    }


def _key(person: Person, by: Match) -> str:
    return person.email if by == "email" else person.username


def _identity_key(identity: Identity, by: Match) -> str:
    return {
        "email": identity.email,
        "username": identity.external_username,
        "mapping": identity.username,
    }[by]


def _found(
    person: Person, by: Match, there: dict[str, list[Identity]], ours: Counter[str]
) -> MatchResult:
    key = _key(person, by)
    if not key:
        return MatchResult("unmatched", why="has no e-mail address here")
    candidates = there.get(fold(key), [])
    if not candidates:
        return MatchResult("unmatched", why=f"nobody there has this {_told(by)}")
    if len(candidates) > 1:
        spelled = {_identity_key(each, by) for each in candidates}
        why = "differing in upper and lower case only" if len(spelled) > 1 else "all the same"
        return MatchResult("ambiguous", why=f"{len(candidates)} people there, {why}")
    if ours[fold(key)] > 1:
        return MatchResult("ambiguous", why=f"others here have the same {_told(by)}")
    identity = candidates[0]
    if by == "username" and _differ(person.email, identity.email):
        why = "the same user name with another e-mail address: it may have been given anew"
        return MatchResult("ambiguous", why=why)
    return MatchResult("matched", identity)


def _told(by: Match) -> str:
    return {"email": "e-mail address", "username": "user name", "mapping": "row"}[by]


def _differ(ours: str, theirs: str) -> bool:
    return bool(ours and theirs) and fold(ours) != fold(theirs)
