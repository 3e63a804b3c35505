"""Errors of the API server, as the Status objects that clients receive."""

from dataclasses import dataclass

from .kinds import JSON, Kind


class Refused(Exception):
    """A rejected request: the status code and the Status object of the answer."""

    def __init__(self, code: int, reason: str, message: str, details: JSON | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: JSON = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({} if details is None else {"details": details}),
            "code": code,
        }


@dataclass(frozen=True)
class Cause:
    """The fault of one field."""

    field: str
    reason: str
    message: str


def wrong_value(field: str, value: object, why: str) -> Cause:
    """Return the cause for a value that is not allowed."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def missing_value(field: str, why: str = "") -> Cause:
    """Return the cause for a required value that is missing."""
    return Cause(field, "FieldValueRequired", f"Required value{': ' + why if why else ''}")


def forbidden_value(field: str, why: str) -> Cause:
    """Return the cause for a value that must not be set or changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def details(kind: Kind, name: str) -> JSON:
    """Return the details that identify the object of a Status."""
    group = {"group": kind.group} if kind.group else {}
    return {**({"name": name} if name else {}), **group, "kind": kind.plural}


def unauthorized() -> Refused:
    """Return the error for a missing or unknown token."""
    return Refused(401, "Unauthorized", "Unauthorized")


def not_found(kind: Kind, name: str) -> Refused:
    """Return the error for an object that does not exist."""
    message = f'{kind.resource} "{name}" not found'
    return Refused(404, "NotFound", message, details(kind, name))


def already_exists(kind: Kind, name: str) -> Refused:
    """Return the error for a new object whose name is in use."""
    message = f'{kind.resource} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, details(kind, name))


def other_uid(kind: Kind, name: str, namespace: str, wanted: str, real: str) -> Refused:
    """Return the error for a write whose uid is that of another object."""
    group = f"{kind.group}/" if kind.custom else ""
    key = "/".join(filter(None, ("/registry", f"{group}{kind.plural}", namespace, name)))
    why = (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, "
        f"UID in object meta: {real}"
    )
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refused(409, "Conflict", message, details(kind, name))


def no_such_uid(kind: Kind, name: str, wanted: str) -> Refused:
    """Return the error for a server-side apply to a uid that does not exist."""
    why = f"uid mismatch: the provided object specified uid {wanted}, and no existing object was found"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refused(409, "Conflict", message, details(kind, name))


def modified(kind: Kind, name: str) -> Refused:
    """Return the error for a write with an outdated resourceVersion."""
    why = "the object has been modified; please apply your changes to the latest version"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why} and try again'
    return Refused(409, "Conflict", message, details(kind, name))


def precondition(kind: Kind, name: str, what: str, wanted: str, real: str) -> Refused:
    """Return the error for a delete whose precondition names another version or object."""
    recreated = "been deleted and then recreated" if what == "UID" else "been modified"
    why = (
        f"the {what} in the precondition ({wanted}) does not match the {what} in record ({real}). "
        f"The object might have {recreated}"
    )
    message = f'Operation cannot be fulfilled on {kind.name} "{name}": {why}'
    return Refused(409, "Conflict", message, {**details(kind, name), "kind": kind.name})


def forbidden(kind: Kind, name: str, why: str, causes: list[JSON] | None = None) -> Refused:
    """Return the error for a request that no user may make."""
    more = {"causes": causes} if causes else {}
    message = f'{kind.resource} "{name}" is forbidden: {why}'
    return Refused(403, "Forbidden", message, {**details(kind, name), **more})


def terminating(kind: Kind, name: str, namespace: str) -> Refused:
    """Return the error for a new object in a namespace that is being terminated."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return forbidden(kind, name, why, [cause])


def invalid(kind: Kind, name: str, causes: list[Cause]) -> Refused:
    """Return the error for an object that is well-formed but invalid."""
    messages = [f"{cause.field}: {cause.message}" for cause in causes]
    why = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    about = {**details(kind, name), "kind": kind.name}
    about["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    return Refused(422, "Invalid", f'{kind.full_name} "{name}" is invalid: {why}', about)


def bad_request(message: str) -> Refused:
    """Return the error for a malformed request."""
    return Refused(400, "BadRequest", message)


class Undecodable(Refused):
    """A body that is not an object of the kind."""

    def __init__(self, kind: Kind, why: str) -> None:
        what = f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}'
        super().__init__(400, "BadRequest", f"{what}: {why}")
        self.why = why


def undecodable(kind: Kind, why: str) -> Refused:
    """Return the error for a body that is not an object of the kind."""
    return Undecodable(kind, why)


def untypable(kind: Kind, name: str, why: str) -> Refused:
    """Return the error for a server-side apply that does not match the schema.

    A real server reports it as an internal error.
    """
    return Refused(500, "", f"failed to create typed patch object {_about(kind, name)}: {why}")


def inconvertible(kind: Kind, name: str, why: str) -> Refused:
    """Return the error for a server-side apply of a value that the kind cannot have.

    A real server reports it as an internal error.
    """
    what = f"failed to convert new object {_about(kind, name)} to proper version"
    gvk = f"{kind.group}/{kind.version}, Kind={kind.name}"
    return Refused(500, "", f"{what}: unable to convert unstructured object to {gvk}: {why}")


def _about(kind: Kind, name: str) -> str:
    return f"(/{name}; {kind.group}/{kind.version}, Kind={kind.name})"


def bad_option(options: str, cause: Cause) -> Refused:
    """Return the error for an invalid parameter of the request."""
    about = {
        "group": "meta.k8s.io",
        "kind": options,
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field}],
    }
    message = f'{options}.meta.k8s.io "" is invalid: {cause.field}: {cause.message}'
    return Refused(422, "Invalid", message, about)


def no_resource() -> Refused:
    """Return the error for a resource that a built-in group does not have."""
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def not_allowed() -> Refused:
    """Return the error for a method that the path does not support."""
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, {})


def not_simulated(what: str) -> Refused:
    """Return the error for a function of a real server that the sandbox does not have."""
    message = f"the sandbox's Kubernetes does not simulate {what}"
    return Refused(501, "NotImplemented", message)
