"""Reads a faulty file without its faulty fields, so that the other fields are checked as well."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.faults import Document, Place, explain_at, places_of
from tenantry.declared.merge import plain
from tenantry.declared.types import Model, TeamName

M = TypeVar("M", bound=Model)

_NAMES: TypeAdapter[str] = TypeAdapter(TeamName)
_LINE = re.compile(r"^name: *[\"']?([a-z0-9-]{1,63})[\"']? *(#.*)?$", re.MULTILINE)
_ROUNDS = 50
"""How often faulty fields are removed before the whole file counts as unreadable."""


_MOST = 300
"""The maximum number of faulty fields removed from a file. No handwritten file has more."""


@dataclass(frozen=True)
class Readable(Generic[M]):
    """A file's content without its faulty fields."""

    content: M | None
    """The readable content; None if nothing can be read."""
    faults: list[str] = field(default_factory=list)
    """The faults, each in the form `file:line: field: …`."""
    left_out: frozenset[Place] = frozenset()
    """The faulty fields."""


def name_from_path(path: Path) -> str | None:
    """Return the team name in a file's name; None if it is not a valid team name."""
    return valid_name(path.stem)


def name_in_text(path: Path) -> str | None:
    """Return the team name in a file's text, for text that is not YAML; None if not found."""
    try:
        found = _LINE.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return valid_name(found[1]) if found else None


def valid_name(text: Any) -> str | None:
    """Return `text` if it is a valid team name, else None."""
    try:
        return _NAMES.validate_python(text)
    except ValidationError:
        return None


def read_model(document: Document, model: type[M], **instead: Any) -> Readable[M]:
    """Return the readable content of a file, and all of its faults.

    If a field is faulty, pydantic skips the rules about several fields. So the faulty fields are
    removed and the rest is validated again, until it has no faults.

    Args:
        document: the file.
        model: the model of its content.
        instead: values for required fields that are missing or faulty.
    """
    data = plain(document.data)
    left_out: set[Place] = set()
    faults: list[str] = []
    for turn in range(_ROUNDS):
        pruned = _without(data, left_out)
        if turn:
            pruned = {**instead, **pruned}
        try:
            return Readable(model.model_validate(pruned), faults, frozenset(left_out))
        except ValidationError as error:
            found = places_of(error, Document(document.name, pruned))
        moved = {original_place(place, data, left_out): details for place, details in found.items()}
        if len(moved) + len(left_out) > _MOST:
            first = dict(list(moved.items())[:_MOST])
            text = f"has {len(moved)} faults; only the first {len(first)} are listed"
            return Readable(
                None, [*faults, document.fault((), text), *explain_at(first, model, document)]
            )
        gaps = {place for place in moved if _holds_any(place, left_out)}
        new = {place: details for place, details in moved.items() if place not in gaps}
        faults += explain_at(new, model, document)
        more = {existing_part(place, data) for place in new}
        more |= {place[:-1] if place in left_out else place for place in gaps}
        if turn and more <= {*left_out, ()}:
            break
        left_out |= more - {()}
    return Readable(None, faults, frozenset(left_out))


def _holds_any(place: Place, left_out: Iterable[Place]) -> bool:
    """Return whether a field is left out, or contains a left-out field."""
    return any(gone[: len(place)] == place for gone in left_out)


def original_place(place: Place, data: Any, left_out: Collection[Place]) -> Place:
    """Return a field's path in the original data. Removing list items has shifted the indexes."""
    if not left_out:
        return place
    found: Place = ()
    node = data
    for step in place:
        if isinstance(node, list) and isinstance(step, int):
            kept = [index for index in range(len(node)) if (*found, index) not in left_out]
            step = kept[step] if step < len(kept) else step
        found = (*found, step)
        try:
            node = node[step]
        except (LookupError, TypeError):
            node = None
    return found


def existing_part(place: Place, data: Any) -> Place:
    """Return the longest prefix of a path that exists in the data."""
    found: Place = ()
    node = data
    for step in place:
        try:
            node = node[step]
        except (LookupError, TypeError):
            break
        found = (*found, step)
    return found


def _without(data: Any, left_out: Iterable[Place], place: Place = ()) -> Any:
    if isinstance(data, Mapping):
        kept = {key: below for key, below in data.items() if (*place, key) not in left_out}
        return {key: _without(below, left_out, (*place, key)) for key, below in kept.items()}
    if isinstance(data, list):
        return [
            _without(below, left_out, (*place, index))
            for index, below in enumerate(data)
            if (*place, index) not in left_out
        ]
    return data


_NEEDED_BY: tuple[tuple[Place, Place], ...] = (
    (("robots", "*", "expiry_days"), ("robots", "*", "rotation")),
    (("robots", "*", "rotation"), ("robots", "*", "rotation")),
    (("harbor", "severity"), ("harbor", "prevent_vulnerable")),
    (("group",), ("harbor", "groups")),
    (("namespace", "limits", "?", "*"), ("namespace", "limits", "default_request", "*")),
    (
        ("namespace", "limits", "?", "*"),
        ("further_namespaces", "?", "limits", "default_request", "*"),
    ),
    (
        ("further_namespaces", "*", "limits", "?", "*"),
        ("further_namespaces", "*", "limits", "default_request", "*"),
    ),
    (("further_namespaces", "*"), ("names", "further_namespaces", "*")),
    (("oidc_clients", "*"), ("names", "clients", "*")),
    (("oidc_clients", "*"), ("names", "client_secrets", "*")),
    (("robots", "*"), ("names", "secrets", "*")),
    (("routes", "*", "kind"), ("routes", "*", "paths")),
    (("mesh", "route_kind"), ("routes", "?", "paths")),
    (
        ("keycloak", "external_providers", "?"),
        ("keycloak", "external_providers", "?", "replaces"),
    ),
)
"""Pairs of a field and a field whose rules depend on it. `*` is the same name in both, `?` any."""


def is_consequence(
    place: Place, left_out: Iterable[Place], is_given: Callable[[Place], bool] | None = None
) -> bool:
    """Return whether a rule's fault may be only a consequence of the removed faulty fields.

    Args:
        place: the field of the fault.
        left_out: the faulty fields, which are unknown.
        is_given: returns whether a field is known, if any field may be unknown.
    """
    if _holds_any(place, left_out):
        return True
    for source, target in _NEEDED_BY:
        bound = _bind(target, place)
        if bound is None:
            continue
        needed = _fill(source, bound)
        if any(_overlap(needed, gone) for gone in left_out):
            return True
        of_platform = needed[0] == "mesh"  # the platform gives it, never a team file
        if is_given and not of_platform and "?" not in needed and not is_given(needed):
            return True
    return False


def _bind(pattern: Place, place: Place) -> list[Any] | None:
    """Return the values of each `*` of a pattern that matches the path or a prefix; else None."""
    if len(place) < len(pattern):
        return None
    pairs = list(zip(pattern, place, strict=False))
    if any(step not in ("*", "?", there) for step, there in pairs):
        return None
    return [there for step, there in pairs if step == "*"]


def _fill(pattern: Place, bound: list[Any]) -> Place:
    names = iter(bound)
    return tuple(next(names, "?") if step == "*" else step for step in pattern)


def _overlap(needed: Place, gone: Place) -> bool:
    return all(step in ("?", there) for step, there in zip(needed, gone, strict=False))
