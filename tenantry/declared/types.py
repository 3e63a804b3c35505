"""The value types of the declared state, with their validation rules.

Each rule is the intersection of the rules of Harbor, Kubernetes and Keycloak, so that all of them
accept a valid value.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from tenantry.declared.parsing import source_text

_WORDS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
NAME_PATTERN = "^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$"
"""The rule of `_WORDS` for JSON Schemas, which need the lookahead to require a letter."""
# Kubernetes' own syntax.
_AMOUNT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[KMGTPE]i|[numkMGTPE])?"
_QUANTITY = re.compile(_AMOUNT)
_UNITS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate("num", start=-3)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_MAX_LABEL = 63  # a Kubernetes name; Harbor and Keycloak allow more
_PREFIX = "team-"
MAX_QUANTITY = 2**63 - 1
MAX_STORAGE = 1024 * 2**40  # Harbor refuses quotas above 1024 TiB


class Model(BaseModel):
    """A part of the declared state: immutable, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="after")
    @classmethod
    def _check_characters(cls, value: Any) -> Any:
        for text in _texts_in(value):
            if found := _CONTROL.search(text):
                raise ValueError(
                    f"{text!r} contains the character U+{ord(found[0]):04X}, which not all systems "
                    "can store; remove it"
                )
        return value


# Line feeds and tabs are allowed in descriptions and annotations. Names have stricter rules.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _texts_in(value: Any) -> Iterator[str]:
    """Return the texts in a field, except in nested models, which check their own fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _texts_in(key)
            yield from _texts_in(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts_in(below)


def _check_words(value: str, *, noun: str, longest: int) -> str:
    allowed = (
        f"{noun} is 1 to {longest} lower-case letters and digits, in words joined by single dashes"
    )
    if not _WORDS.fullmatch(value) or len(value) > longest:
        raise ValueError(allowed)
    if value.isdigit():
        raise ValueError(f"{allowed}, with at least one letter (Harbor treats digits as an id)")
    return value


def _words(noun: str, longest: int) -> Any:
    return (
        # YAML reads an unquoted 123 as a number. Report the fault of the name, not of its type.
        BeforeValidator(lambda v: source_text(v) if _is_number(v) else v),
        AfterValidator(lambda v: _check_words(v, noun=noun, longest=longest)),
        Field(
            json_schema_extra={
                "pattern": NAME_PATTERN,
                "maxLength": longest,
                "minLength": 1,
            }
        ),
    )


TeamName = Annotated[str, *_words("a team's name", _MAX_LABEL - len(_PREFIX))]
"""A team's name. By default `team-<name>` is its namespace, Harbor project and Keycloak group."""

ShortName = Annotated[str, *_words("a name", 40)]
"""The name of a robot, route, OIDC client or further namespace of a team."""

ProfileName = Annotated[str, *_words("a profile's name", 40)]


def check_group(value: str) -> str:
    """Return the name of a group.

    Raises:
        ValueError: Keycloak would refuse it, or Harbor could not compare it.
    """
    if not value.strip() or value != value.strip() or len(value) > 255 or "/" in value:
        raise ValueError(
            "a group's name is 1 to 255 characters without '/' and without blanks around it (Harbor "
            "compares it exactly with the groups claim, which contains leaf names)"
        )
    return value


GroupName = Annotated[str, AfterValidator(check_group)]

ExternalNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
"""Names of a group at an external identity provider. An empty list is refused, because it could mean
"no users" or "the default name"; for the latter, do not list the provider."""


def quantity(value: str) -> Decimal:
    """Return the value of a Kubernetes quantity: `1000m` and `1` are equal.

    Raises:
        ValueError: the text is not a quantity.
    """
    # The Kubernetes client has a parser, too, but importing it loads the whole client.
    if not _QUANTITY.fullmatch(value):
        raise ValueError(f"{value!r} is not a quantity")
    digits = value.rstrip("numkKMGTPEi")
    number = Decimal(digits) * _UNITS.get(value[len(digits) :], 1)
    with localcontext(prec=60):
        # Kubernetes rounds quantities up to billionths.
        return (number * 10**9).to_integral_value(ROUND_CEILING) / 10**9


def _check_quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise ValueError("a quantity is a number with an optional unit, such as 500m, 4, 10Gi")
    if quantity(value) < 0:
        raise ValueError("a quantity must not be negative")
    if quantity(value) > MAX_QUANTITY:
        raise ValueError(f"a quantity is at most {MAX_QUANTITY}; Kubernetes caps larger values")
    return value


def _as_amount(value: Any) -> Any:
    """Return a number as its value, regardless of its spelling in YAML: `0x10` is 16."""
    return str(value) if _is_number(value) else value


def as_written(value: Any) -> Any:
    """Return a number's source text, for fields of type text: `0042` and `1.10` stay unchanged."""
    return source_text(value) if _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a whole number, not true or false")  # noqa: TRY004 for pydantic
    return value


WHOLE = BeforeValidator(_check_whole)
"""Makes a number field refuse true and false, which Python treats as 1 and 0. In an annotation it
must come after the number's limits, or the JSON Schema loses them."""

MAX_INT = 2**31 - 1
"""The largest number that all systems can store."""


def text_or_number(pattern: str) -> WithJsonSchema:
    """Return the JSON Schema of a text that YAML may read as a number."""
    return WithJsonSchema({"type": ["string", "number"], "pattern": f"^({pattern})$"})


def text_like(pattern: str) -> Any:
    """Return the field settings that add a pattern to the JSON Schema of a text."""
    return Field(json_schema_extra={"pattern": f"^({pattern})$"})


def fits(pattern: str, words: str) -> Any:
    """Return the rule that a text matches a pattern; messages describe it with `words`."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(words)
        return value

    return AfterValidator(check), text_like(pattern)


Quantity = Annotated[
    str,
    BeforeValidator(_as_amount),
    AfterValidator(_check_quantity),
    text_or_number(_AMOUNT),
]
"""A Kubernetes quantity, such as `500m`, `4` or `10Gi`; 0 or greater."""

UNLIMITED = "unlimited"


def storage_bytes(value: str) -> int:
    """Return a storage quota in bytes for Harbor; `unlimited` is -1."""
    return -1 if value == UNLIMITED else int(quantity(value))


def is_whole(value: str) -> bool:
    """Return whether a storage quota is a whole number of bytes, or unlimited."""
    return value == UNLIMITED or storage_bytes(value) == quantity(value)


def _check_storage(value: str) -> str:
    if value == UNLIMITED:
        return value
    try:
        size = storage_bytes(_check_quantity(value))
        if quantity(value) <= 0:
            raise ValueError("a storage quota must be greater than 0")
    except ValueError as fault:
        raise ValueError(f"{fault}; or 'unlimited'") from None
    if not 1 <= size <= MAX_STORAGE:
        raise ValueError("a storage quota is between 1 byte and 1024Ti, or 'unlimited'")
    return value


StorageQuota = Annotated[
    str,
    BeforeValidator(_as_amount),
    AfterValidator(_check_storage),
    text_or_number(rf"{UNLIMITED}|{_AMOUNT}"),
]
"""The storage quota of a Harbor project: `10Gi`, or `unlimited`."""
