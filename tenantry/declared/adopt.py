"""Whether Tenantry adopts objects that it did not create, by system."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from tenantry.declared.types import Model

AdoptMode = Literal["never", "if-identical", "yes"]
MODES: tuple[AdoptMode, ...] = get_args(AdoptMode)
"""The modes, from the strictest to the least strict."""


class AdoptBySystem(Model):
    """Whether to adopt objects, for each system."""

    harbor: AdoptMode = "never"
    """The Harbor project, with its members, rules and robots."""
    keycloak: AdoptMode = "never"
    """Groups, clients and, of the platform, the realm and its identity providers."""
    kubernetes: AdoptMode = "never"
    """Namespaces, the objects in them, and Secrets."""
    istio: AdoptMode = "never"
    """Routes and the objects of the mesh."""

    def of(self, system: str) -> AdoptMode:
        """Return whether to adopt objects of a system."""
        mode: AdoptMode = getattr(self, system, "never")
        return mode


SYSTEMS: tuple[str, ...] = tuple(AdoptBySystem.model_fields)


def by_system(value: Any) -> Any:
    """Return a declared value as a mapping by system. A single value applies to all systems.

    Raises:
        ValueError: it is neither a mode nor a mapping.
    """
    if isinstance(value, str) and value in MODES:
        return dict.fromkeys(SYSTEMS, value)
    if isinstance(value, AdoptBySystem | Mapping):
        return value
    raise ValueError(
        "must be 'never', 'if-identical' or 'yes', or one of these for each system, such as "
        '{harbor: "yes", kubernetes: if-identical}'
    )


def shortest(adopt: AdoptBySystem) -> str | dict[str, str]:
    """Return the shortest declaration of a value: one mode, if it is the same for all systems."""
    given = adopt.model_fields_set or set(SYSTEMS)
    modes: dict[str, str] = {system: adopt.of(system) for system in SYSTEMS if system in given}
    is_uniform = len(modes) == len(SYSTEMS) and len(set(modes.values())) == 1
    return modes["harbor"] if is_uniform else modes


def adopt_text(value: str | Mapping[str, str]) -> str:
    """Return a declared value on one line, for messages."""
    if isinstance(value, str):
        return value
    return ", ".join(f"{system}: {mode}" for system, mode in value.items())


def adopt_all(mode: AdoptMode) -> AdoptBySystem:
    """Return the value with the same mode for all systems."""
    return AdoptBySystem(harbor=mode, keycloak=mode, kubernetes=mode, istio=mode)


def strictest(one: AdoptBySystem, other: AdoptBySystem) -> AdoptBySystem:
    """Return the value that adopts, in each system, only what both values adopt."""
    return _each(one, other, lambda a, b: min(a, b, key=MODES.index))


def least_strict(one: AdoptBySystem, other: AdoptBySystem) -> AdoptBySystem:
    """Return the value that adopts, in each system, what either value adopts."""
    return _each(one, other, lambda a, b: max(a, b, key=MODES.index))


def _each(one: AdoptBySystem, other: AdoptBySystem, choose: Any) -> AdoptBySystem:
    modes = {system: choose(one.of(system), other.of(system)) for system in SYSTEMS}
    return AdoptBySystem.model_validate(modes)


_MODE_SCHEMA = {"type": "string", "enum": list(MODES)}

Adopt = Annotated[
    AdoptBySystem,
    BeforeValidator(by_system),
    PlainSerializer(shortest),
    WithJsonSchema(
        {
            "anyOf": [
                _MODE_SCHEMA,
                {
                    "type": "object",
                    "properties": {system: dict(_MODE_SCHEMA) for system in SYSTEMS},
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""One mode for all systems, or a mode for each. A team's mapping leaves the other systems as the
platform's defaults have them; in `policy` the others are `never`."""
NEVER = AdoptBySystem()
