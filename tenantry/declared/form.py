"""Reads the team in an API call, or in the run form of the UI.

The form has a few fields, and `more` for all other settings as YAML or JSON. It also accepts the
fields of a team file, so that a program can send a complete team.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenantry.declared import parsing, rules
from tenantry.declared.faults import Document, Place
from tenantry.declared.merge import Data, complete
from tenantry.declared.offboarding import KEY
from tenantry.declared.platform import Platform
from tenantry.declared.salvage import (
    Readable,
    existing_part,
    is_consequence,
    original_place,
    read_model,
)
from tenantry.declared.team import Team
from tenantry.declared.yaml_nodes import FaultyText
from tenantry.errors import DeclarationError

TEXTS = ("display_name", "contact", "profile")
"""Fields that the form and a team file share. In the form, an empty field counts as not given."""

_QUOTA: Place = ("harbor", "storage_quota")
_ROLES: Place = ("harbor", "groups")


@dataclass(frozen=True)
class Form(Document):
    """A team in an API call. Its faults refer to the form's fields and to lines of `more`."""

    more: Document | None = None
    more_is_text: bool = False
    roles: tuple[str, ...] = ()
    """The groups in the field `roles`, in the given order."""
    has_quota: bool = False

    def fault(self, place: Place, text: str) -> str:
        """Return a fault of a team's field as a fault of the form's field."""
        if self.has_quota and place == _QUOTA:
            return f"{self.name}: quota: {text}"
        if place[:2] == _ROLES and place[2:3] and place[2] in self.roles:
            field = f"roles[{self.roles.index(str(place[2]))}]"
            return f"{self.name}: {field}.role: {text}"
        if self.more is not None and _has(self.more.data, place):
            fault = self.more.fault(place, text)
            if not self.more_is_text:
                fault = fault.replace("more:1: ", "more: ", 1)
            return f"{self.name}: {fault}"
        return super().fault(place, text).replace(f"{self.name}:1: ", f"{self.name}: ", 1)


def read_form(given: Any) -> tuple[Team, Form]:
    """Return the team in the form, with only the given fields, and the form itself.

    Raises:
        DeclarationError: lists all faults, each in the form `team NAME: field: …` or
            `team NAME: more:LINE: field: …`.
    """
    if isinstance(given, Team):
        given = given.model_dump(mode="json", exclude_unset=True)
    if not isinstance(given, Mapping):
        raise DeclarationError(["team: must be an object with at least a 'name'"])
    fields = dict(given)
    name = fields.get("name")
    label = f"team {name}" if _is_short(name) else "team"
    faults: list[str] = []
    for key in TEXTS:
        if key in fields and _is_empty(fields[key]):
            del fields[key]
    members = fields.get("members")
    if members is None or (isinstance(members, list) and members and all(map(_is_empty, members))):
        fields.pop("members", None)
    elif isinstance(members, list):
        fields["members"] = [member for member in members if not _is_empty(member)]
    quota, roles, text = (fields.pop(key, None) for key in ("quota", "roles", "more"))
    data: Data = fields
    if not _is_empty(quota):
        data, faults = _add(data, {"harbor": {"storage_quota": quota}}, label, "quota")
    groups = dict(_groups(roles, label, faults))
    if groups:
        data, twice = _add(data, {"harbor": {"groups": groups}}, label, "roles")
        faults += twice
    more = _read_more(text, label, faults)
    if more is not None:
        data, twice = _add(data, more.data, label, "more")
        faults += twice
    form = Form(
        label,
        data,
        more=more,
        more_is_text=isinstance(text, str),
        roles=tuple(groups),
        has_quota=not _is_empty(quota),
    )
    if KEY in form.data:
        text = "only the flow offboard-team sets this field; leave it out of the call"
        faults.append(form.fault((KEY,), text))
    found = read_model(form, Team)
    faults += found.faults
    if faults:
        raise DeclarationError([*faults, *_rule_faults(found, form)])
    assert found.content is not None
    return found.content, form


def _rule_faults(found: Readable[Team], form: Form) -> Iterator[str]:
    """Return the faults of the readable fields that no default of the platform could resolve."""
    if found.content is None:
        return

    def is_given(place: Place) -> bool:
        return existing_part(place, form.data) == place

    platform = Platform()
    team = complete(platform, found.content.model_copy(update={"profile": None}))
    for place, text in (*rules.check_team(team), *rules.check_on_platform(platform, team)):
        place = original_place(place, form.data, found.left_out)
        if is_given(place) and not is_consequence(place, found.left_out, is_given):
            yield form.fault(place, text)


def _is_short(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 63 and name.isprintable()


def _is_empty(value: Any) -> bool:
    """Return whether a field of the form is empty: null, or only whitespace."""
    return value is None or (isinstance(value, str) and not value.strip())


def _groups(roles: Any, label: str, faults: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the groups in `roles` with their roles; empty rows are skipped."""
    if roles is None:
        return
    if not isinstance(roles, list):
        faults.append(f"{label}: roles: must be a list of objects with 'group' and 'role'")
        return
    seen: set[str] = set()
    for number, row in enumerate(roles):
        at = f"{label}: roles[{number}]"
        if row is None or (isinstance(row, Mapping) and all(map(_is_empty, row.values()))):
            continue
        if not isinstance(row, Mapping) or not row.keys() <= {"group", "role"}:
            faults.append(f"{at}: must be an object with 'group' and 'role'")
            continue
        absent = [key for key in ("group", "role") if _is_empty(row.get(key))]
        faults += [f"{at}.{key}: is required" for key in absent]
        group = row.get("group")
        if absent or not isinstance(group, str):
            faults += [] if absent else [f"{at}.group: must be text"]
        elif group in seen:
            faults.append(f"{at}.group: '{group}' is given twice; remove one of them")
        else:
            seen.add(group)
            yield group, row["role"]


def _read_more(given: Any, label: str, faults: list[str]) -> Document | None:
    """Return the content of `more`, with the lines of its keys if it is text."""
    if _is_empty(given):
        return None
    if isinstance(given, Mapping):
        return Document("more", dict(given)) if given else None
    if not isinstance(given, str):
        faults.append(f"{label}: more: must be text in YAML or JSON, or an object")
        return None
    try:
        content = parsing.parse(_untabbed(given))
    except FaultyText as fault:
        faults.append(f"{label}: more:{fault.line}: {fault.text}")
        return None
    if isinstance(content.data, Mapping):
        return Document("more", content.data, content.lines)
    if content.data is not None:
        faults.append(
            f"{label}: more:1: must contain keys and values, like a team file, such as "
            "'namespace: {mesh: false}'"
        )
    return None


def _untabbed(text: str) -> str:
    """Return JSON text without tabs, which YAML does not allow as indentation.

    In JSON, tabs occur only between tokens, so that blanks can replace them.
    """
    if "\t" in text:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text.replace("\t", " ") if "\t" in text else text


def _add(data: Data, more: Any, label: str, field: str) -> tuple[Data, list[str]]:
    """Return the merged data, and a fault for each value that is given twice and differs."""
    faults: list[str] = []

    def add(under: Mapping[Any, Any], over: Mapping[Any, Any], place: Place) -> Data:
        merged = dict(under)
        for key, value in over.items():
            here = (*place, key)
            if key not in merged:
                merged[key] = value
            elif isinstance(merged[key], Mapping) and isinstance(value, Mapping):
                merged[key] = add(merged[key], value, here)
            elif merged[key] != value:
                path = ".".join(map(str, here))
                text = f"'{path}' is given elsewhere in the call, with another value; give it once"
                faults.append(f"{label}: {field}: {text}")
        return merged

    return add(data, more, ()), faults


def _has(data: Any, place: Sequence[Any]) -> bool:
    """Return whether the data contains a field, or the parent that the field is missing from."""
    for step in place[:-1]:
        if (isinstance(data, Mapping) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        ):
            data = data[step]
        else:
            return False
    if len(place) == 1:
        return isinstance(data, Mapping) and place[0] in data
    return True
