"""Requests about objects, and what their bodies hold."""

import io
import json
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .errors import Cause, bad_request, invalid, undecodable
from .kinds import JSON, Kind

APPLY = ("application/apply-patch+yaml", "application/apply-patch+cbor")


@dataclass(slots=True)
class Call:
    """One request about objects of a kind."""

    method: str
    kind: Kind
    namespace: str | None
    name: str | None
    query: dict[str, str]
    content_type: str
    agent: str
    raw: bytes

    @property
    def dry(self) -> bool:
        """Whether nothing may be kept."""
        wanted = self.query.get("dryRun")
        if wanted not in (None, "", "All"):
            raise bad_request(f'dryRun: Unsupported value: "{wanted}": supported values: "All"')
        return wanted == "All"

    @property
    def manager(self) -> str:
        """Who is said to own what a plain write sets."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"

    @property
    def body(self) -> Any:
        """What the body holds, JSON or YAML."""
        try:
            return json.loads(self.raw)
        except ValueError:
            try:
                return YAML(typ="safe", pure=True).load(io.BytesIO(self.raw))
            except YAMLError as error:
                raise bad_request(f"error decoding the body: {error}") from error


def decoded(call: Call, obj: Any) -> JSON:
    """The body as an object of the kind that the path names."""
    if not isinstance(obj, dict):
        raise undecodable(call.kind, "the body is not an object")
    version, name = obj.get("apiVersion", ""), obj.get("kind", "")
    if (not version or not name) and (call.kind.custom or call.content_type in APPLY):
        raise bad_request(f"Object 'Kind' is missing in '{json.dumps(obj)[:80]}'")
    if version and version != call.kind.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({call.kind.api_version})"
        )
    if name and name != call.kind.name:
        raise bad_request(f"{name} in version {version} cannot be handled as a {call.kind.name}")
    metadata = obj.get("metadata")
    obj["metadata"] = dict(metadata) if isinstance(metadata, dict) else {}
    return obj


def place(call: Call, metadata: JSON) -> None:
    """Fill in name and namespace from the path, or refuse others."""
    if call.name is not None:
        given = metadata.setdefault("name", call.name)
        if given != call.name:
            what = f"the name of the object ({given}) does not match the name on the URL"
            raise bad_request(f"{what} ({call.name})")
    if not call.kind.namespaced:
        metadata.pop("namespace", None)
    elif (metadata.get("namespace") or call.namespace) != call.namespace:
        what = "the namespace of the provided object does not match the namespace sent on the"
        raise bad_request(f"{what} request")
    else:
        metadata["namespace"] = call.namespace


_JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean"}


def unfit(kind: Kind, obj: JSON) -> list[tuple[str, str]]:
    """The fields that the kind's schema doesn't know, or knows as another type."""
    found = []
    known = {"": {"apiVersion": str, "kind": str, "metadata": dict, **kind.fields}}
    if kind.spec and isinstance(obj.get("spec"), dict):
        known["spec"] = kind.spec
    for where, fields in known.items():
        for name, value in (obj[where] if where else obj).items():
            path = f"{where}.{name}" if where else name
            if name not in fields:
                found.append((path, "field not declared in schema"))
            elif value is not None and not isinstance(value, fields[name]):
                wanted = "map" if fields[name] is dict else fields[name].__name__
                found.append((path, f"expected {wanted}, got {value}"))
    return found


def prune(call: Call, obj: JSON) -> list[str]:
    """Drop fields that the schema doesn't know, with a warning; refuse values of a wrong type."""
    warnings = []
    for path, why in unfit(call.kind, obj):
        parts = path.split(".")
        holder = obj["spec"] if len(parts) > 1 else obj
        if why.startswith("expected"):
            value = holder[parts[-1]]
            found = _JSON_TYPES.get(type(value), "number")
            wanted = _JSON_TYPES[
                (call.kind.spec if len(parts) > 1 else call.kind.fields)[parts[-1]]
            ]
            if call.kind.custom:
                said = f'Invalid value: "{found}": {path} in body must be of type {wanted}'
                cause = Cause(path, "FieldValueTypeInvalid", f'{said}: "{found}"')
                raise invalid(call.kind, obj["metadata"].get("name", ""), [cause])
            field = f"{call.kind.name}.{path}"
            said = f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"
            raise undecodable(call.kind, said)
        if call.query.get("fieldValidation") == "Strict":
            what = f'strict decoding error: unknown field "{path}"'
            raise undecodable(call.kind, what)
        del holder[parts[-1]]
        warnings.append(f'299 - "unknown field \\"{path}\\""')
    return warnings


def without_nulls(value: Any) -> Any:
    """What is applied, without nulls."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


def without_nothing(obj: JSON) -> JSON:
    """What is kept of an object: no empty maps where they mean nothing, though who applies one
    owns it."""
    kept = {k: v for k, v in obj.items() if v != {} or k in ("metadata", "spec")}
    kept["metadata"] = {k: v for k, v in obj["metadata"].items() if v != {}}
    return kept
