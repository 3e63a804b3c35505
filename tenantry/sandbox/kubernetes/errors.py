"""The API server's refusals, as the Status objects that clients get."""

from dataclasses import dataclass

from .kinds import JSON, Kind


class Refused(Exception):
    """The API server says no: a status code and the Status it says it with."""

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
    """What is wrong with one field."""

    field: str
    reason: str
    message: str


def wrong_value(field: str, value: object, why: str) -> Cause:
    """A value that isn't allowed."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def missing_value(field: str, why: str = "") -> Cause:
    """A value that has to be there."""
    return Cause(field, "FieldValueRequired", f"Required value{': ' + why if why else ''}")


def forbidden_value(field: str, why: str) -> Cause:
    """A value that may not be there, or not be changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def details(kind: Kind, name: str) -> JSON:
    """Which object a Status is about."""
    group = {"group": kind.group} if kind.group else {}
    return {**({"name": name} if name else {}), **group, "kind": kind.plural}


def unauthorized() -> Refused:
    """No token, or none that is known."""
    return Refused(401, "Unauthorized", "Unauthorized")


def not_found(kind: Kind, name: str) -> Refused:
    """No such object."""
    message = f'{kind.resource} "{name}" not found'
    return Refused(404, "NotFound", message, details(kind, name))


def already_exists(kind: Kind, name: str) -> Refused:
    """An object of that name is there already."""
    message = f'{kind.resource} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, details(kind, name))


def another(kind: Kind, name: str, namespace: str, wanted: str, real: str) -> Refused:
    """The uid sent along is another object's."""
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
    """A server-side apply was meant for an object that is not there."""
    why = f"uid mismatch: the provided object specified uid {wanted}, and no existing object was found"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refused(409, "Conflict", message, details(kind, name))


def modified(kind: Kind, name: str) -> Refused:
    """The resourceVersion sent along is no longer the object's."""
    why = "the object has been modified; please apply your changes to the latest version"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why} and try again'
    return Refused(409, "Conflict", message, details(kind, name))


def precondition(kind: Kind, name: str, what: str, wanted: str, real: str) -> Refused:
    """A delete was meant for another state of the object, or for another object."""
    recreated = "been deleted and then recreated" if what == "UID" else "been modified"
    why = (
        f"the {what} in the precondition ({wanted}) does not match the {what} in record ({real}). "
        f"The object might have {recreated}"
    )
    message = f'Operation cannot be fulfilled on {kind.name} "{name}": {why}'
    return Refused(409, "Conflict", message, {**details(kind, name), "kind": kind.name})


def forbidden(kind: Kind, name: str, why: str, causes: list[JSON] | None = None) -> Refused:
    """Not allowed, whoever asks."""
    more = {"causes": causes} if causes else {}
    message = f'{kind.resource} "{name}" is forbidden: {why}'
    return Refused(403, "Forbidden", message, {**details(kind, name), **more})


def terminating(kind: Kind, name: str, namespace: str) -> Refused:
    """Nothing new comes into a namespace that goes."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return forbidden(kind, name, why, [cause])


def invalid(kind: Kind, name: str, causes: list[Cause]) -> Refused:
    """Well-formed, but not valid."""
    said = [f"{cause.field}: {cause.message}" for cause in causes]
    why = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    about = {**details(kind, name), "kind": kind.name}
    about["causes"] = [
        {"reason": each.reason, "message": each.message, "field": each.field} for each in causes
    ]
    return Refused(422, "Invalid", f'{kind.full_name} "{name}" is invalid: {why}', about)


def bad_request(message: str) -> Refused:
    """Not well-formed."""
    return Refused(400, "BadRequest", message)


class Undecodable(Refused):
    """The body isn't an object of the kind."""

    def __init__(self, kind: Kind, why: str) -> None:
        what = f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}'
        super().__init__(400, "BadRequest", f"{what}: {why}")
        self.why = why


def undecodable(kind: Kind, why: str) -> Refused:
    """The body isn't an object of the kind."""
    return Undecodable(kind, why)


def untypable(kind: Kind, name: str, why: str) -> Refused:
    """A server-side apply that doesn't fit the schema: the real server calls it its own error."""
    return Refused(500, "", f"failed to create typed patch object {_about(kind, name)}: {why}")


def inconvertible(kind: Kind, name: str, why: str) -> Refused:
    """A server-side apply of a value that the kind cannot hold: its own error, too."""
    what = f"failed to convert new object {_about(kind, name)} to proper version"
    gvk = f"{kind.group}/{kind.version}, Kind={kind.name}"
    return Refused(500, "", f"{what}: unable to convert unstructured object to {gvk}: {why}")


def _about(kind: Kind, name: str) -> str:
    return f"(/{name}; {kind.group}/{kind.version}, Kind={kind.name})"


def bad_option(options: str, cause: Cause) -> Refused:
    """A parameter of the request that cannot be."""
    about = {
        "group": "meta.k8s.io",
        "kind": options,
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field}],
    }
    message = f'{options}.meta.k8s.io "" is invalid: {cause.field}: {cause.message}'
    return Refused(422, "Invalid", message, about)


def no_resource() -> Refused:
    """A built-in group without such a resource."""
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def not_allowed() -> Refused:
    """This path doesn't take this method."""
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, {})


def not_simulated(what: str) -> Refused:
    """The real server can do it and this one can't."""
    message = f"the sandbox's Kubernetes does not simulate {what}"
    return Refused(501, "NotImplemented", message)
