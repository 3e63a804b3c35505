"""Requests for objects, and the checks of their bodies."""

import io
import json
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .defaults import string_maps
from .errors import Cause, bad_option, bad_request, invalid, undecodable
from .kinds import JSON, Kind
from .policies import schema_faults_of_policy

_LONGEST_MANAGER = 128
_OPTIONS = {
    "POST": "CreateOptions",
    "PUT": "UpdateOptions",
    "PATCH": "PatchOptions",
    "DELETE": "DeleteOptions",
}
APPLY = ("application/apply-patch+yaml", "application/apply-patch+cbor")


@dataclass(slots=True)
class Call:
    """One request for objects of a kind."""

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
        """Whether this is a dry run, which stores nothing."""
        wanted = self.query.get("dryRun")
        if wanted not in (None, "", "All"):
            why = f'Unsupported value: ["{wanted}"]: supported values: "All"'
            raise bad_option(_OPTIONS[self.method], Cause("dryRun", "FieldValueNotSupported", why))
        return wanted == "All"

    @property
    def manager(self) -> str:
        """The field manager that owns the fields which a write sets."""
        if len(self.query.get("fieldManager", "")) > _LONGEST_MANAGER:
            why = f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
            cause = Cause("fieldManager", "FieldValueTooLong", why)
            raise bad_option(_OPTIONS[self.method], cause)
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"

    @property
    def body(self) -> Any:
        """The parsed body, from JSON or YAML."""
        try:
            return json.loads(self.raw)
        except ValueError:
            try:
                return YAML(typ="safe", pure=True).load(io.BytesIO(self.raw))
            except YAMLError as error:
                raise bad_request(f"error decoding the body: {error}") from error


def decode(call: Call, obj: Any) -> JSON:
    """Return the body as an object of the kind in the path.

    Raises:
        Refused: it is an object of another kind or version, or not an object.
    """
    if not isinstance(obj, dict):
        raise undecodable(call.kind, "the body is not an object")
    version, name = obj.get("apiVersion", ""), obj.get("kind", "")
    if call.content_type in APPLY and (version, name) != (call.kind.api_version, call.kind.name):
        group = "" if "/" in version else "/"
        raise bad_request(f"invalid object type: {group}{version}, Kind={name}")
    if (not version or not name) and call.kind.custom:
        body = call.raw.decode(errors="replace")
        missing = f"Object 'Kind' is missing in '{body}' ({body})"
        what = f"the object provided is unrecognized (must be of type {call.kind.name})"
        raise bad_request(f"{what}: {missing}")
    if version and version != call.kind.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({call.kind.api_version})"
        )
    if name and name != call.kind.name:
        group = call.kind.group.partition(".")[0] or "core"
        conversion = f"({call.kind.version}.{name}) to ({group}.{call.kind.name})"
        what = f'{name} in version "{call.kind.version}" cannot be handled as a {call.kind.name}'
        raise bad_request(f"{what}: converting {conversion}: unknown conversion")
    metadata = obj.get("metadata")
    obj["metadata"] = dict(metadata) if isinstance(metadata, dict) else {}
    return obj


def set_place(call: Call, metadata: JSON) -> None:
    """Set name and namespace from the path; raise Refused if the body has others."""
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


_JSON_TYPES: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "boolean"}


def schema_faults(kind: Kind, obj: JSON) -> list[tuple[str, str]]:
    """Return the fields that are unknown or of another type in the kind's schema, with the reason."""
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
                wanted = _SCHEMA_TYPES[fields[name]]
                found.append((path, f"expected {wanted}, got &{{{_go_value(value)}}}"))
    return found


def deeper_schema_faults(kind: Kind, obj: JSON) -> list[tuple[str, str]]:
    """Return the same for deeper fields, if the sandbox has the published schema of the kind."""
    return schema_faults_of_policy(obj.get("spec") or {}) if kind.name == "NetworkPolicy" else []


def string_map_faults(kind: Kind, obj: JSON) -> list[tuple[str, str]]:
    """Return the values in maps of strings that are not strings, with the reason."""
    return [
        (f"{where.partition('.')[2]}.{key}", f"expected string, got {_go_unstructured(value)}")
        for where, texts in string_maps(kind, obj)
        for key, value in texts.items()
        if value is not None and not isinstance(value, str)
    ]


_SCHEMA_TYPES = {dict: "map", list: "list", str: "string", bool: "boolean"}


def _go_value(value: Any) -> str:
    """Return a value as Go prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_value(each)}" for key, each in value.items()) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_value(each) for each in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _go_unstructured(value: Any) -> str:
    shown = json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        shown = f"map[string]interface {{}}{shown}"
    elif isinstance(value, list):
        shown = f"[]interface {{}}{{{shown[1:-1]}}}"
    return f"&value.valueUnstructured{{Value:{shown}}}"


def prune(call: Call, obj: JSON) -> list[str]:
    """Remove fields that are not in the schema, and return a warning for each.

    Raises:
        Refused: a value has the wrong type, or strict validation finds an unknown field.
    """
    warnings = []
    for path, why in schema_faults(call.kind, obj):
        parts = path.split(".")
        holder = obj["spec"] if len(parts) > 1 else obj
        if why.startswith("expected"):
            value = holder[parts[-1]]
            found = _JSON_TYPES.get(type(value), "integer" if call.kind.custom else "number")
            wanted = _JSON_TYPES[
                (call.kind.spec if len(parts) > 1 else call.kind.fields)[parts[-1]]
            ]
            if call.kind.custom:
                causes = [_wrong_type(path, found, wanted), _NOT_CHECKED_FURTHER]
                raise invalid(call.kind, obj["metadata"].get("name", ""), causes)
            field = f"{call.kind.name}.{path}"
            said = f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"
            raise undecodable(call.kind, said)
        if call.query.get("fieldValidation") == "Strict":
            what = f'strict decoding error: unknown field "{path}"'
            raise undecodable(call.kind, what)
        del holder[parts[-1]]
        warnings.append(f'299 - "unknown field \\"{path}\\""')
    return warnings


def refuse_nulls(kind: Kind, obj: JSON) -> None:
    """Raise Refused if an applied custom resource has null for a field of its schema."""
    spec = obj.get("spec")
    held = spec.items() if kind.custom and isinstance(spec, dict) else ()
    causes = [
        _wrong_type(f"spec.{name}", "null", _JSON_TYPES[kind.spec[name]])
        for name, value in held
        if value is None
    ]
    if causes:
        raise invalid(kind, obj["metadata"]["name"], [*causes, _NOT_CHECKED_FURTHER])


_NOT_CHECKED_FURTHER = Cause(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


def _wrong_type(path: str, found: str, wanted: str) -> Cause:
    said = f'Invalid value: "{found}": {path} in body must be of type {wanted}'
    return Cause(path, "FieldValueTypeInvalid", f'{said}: "{found}"')


def without_nulls(value: Any) -> Any:
    """Return a copy of a value without the fields that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


def without_empty_maps(obj: JSON) -> JSON:
    """Return an object as it is stored: without empty maps that have no meaning.

    The manager that applies such a map owns it nevertheless.
    """
    kept = {k: v for k, v in obj.items() if v != {} or k in ("metadata", "spec")}
    kept["metadata"] = {k: v for k, v in obj["metadata"].items() if v != {}}
    return kept
