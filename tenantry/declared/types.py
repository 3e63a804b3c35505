"""The kinds of values that the declared state is made of, and what makes one wrong.

Each rule is the intersection of what Harbor, Kubernetes and Keycloak accept, so
that whatever passes here is accepted there.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Annotated, Any

from kubernetes.utils.quantity import parse_quantity
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
"""The rule of `_WORDS` for JSON Schemas, which have no other way to require a letter."""
# As Kubernetes writes it; its parser for Python takes NaN and infinity as well.
_AMOUNT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[KMGTPE]i|[numkMGTPE])?"
_QUANTITY = re.compile(_AMOUNT)
_MAX_LABEL = 63  # a Kubernetes name; Harbor and Keycloak allow more
_PREFIX = "team-"
MAX_QUANTITY = 2**63 - 1
MAX_STORAGE = 1024 * 2**40  # Harbor refuses quotas above 1024 TiB


class Model(BaseModel):
    """A part of the declared state: frozen, and no key that we do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="after")
    @classmethod
    def _check_characters(cls, value: Any) -> Any:
        for text in _texts_in(value):
            if found := _CONTROL.search(text):
                raise ValueError(
                    f"{text!r} contains the character U+{ord(found[0]):04X}, which not every "
                    "system can store; remove it"
                )
        return value


# Line feeds and tabs are legal in descriptions and annotations; names have rules of their own.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _texts_in(value: Any) -> Iterator[str]:
    """Return the texts of a field, but for those of models in it, which look at their own."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _texts_in(key)
            yield from _texts_in(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts_in(below)


def _check_words(value: str, *, what: str, longest: int) -> str:
    allowed = (
        f"{what} is 1 to {longest} lower-case letters and digits, in words joined by single dashes"
    )
    if not _WORDS.fullmatch(value) or len(value) > longest:
        raise ValueError(allowed)
    if value.isdigit():
        raise ValueError(f"{allowed}, with at least one letter (Harbor takes digits for an id)")
    return value


def _words(what: str, longest: int) -> Any:
    return (
        # YAML reads an unquoted 123 as a number: say what is wrong with the name, not its type.
        BeforeValidator(lambda v: source_text(v) if _is_number(v) else v),
        AfterValidator(lambda v: _check_words(v, what=what, longest=longest)),
        Field(
            json_schema_extra={
                "pattern": NAME_PATTERN,
                "maxLength": longest,
                "minLength": 1,
            }
        ),
    )


TeamName = Annotated[str, *_words("a team's name", _MAX_LABEL - len(_PREFIX))]
"""Becomes `team-<name>`: a namespace, a Harbor project and a Keycloak group."""

ShortName = Annotated[str, *_words("a name", 40)]
"""A robot, route, OIDC client or further namespace inside a team."""

ProfileName = Annotated[str, *_words("a profile's name", 40)]


def _check_group(value: str) -> str:
    if not value.strip() or value != value.strip() or len(value) > 255 or "/" in value:
        raise ValueError(
            "a group's name is 1 to 255 characters without '/' (Harbor compares it with the "
            "claim letter for letter, and the claim carries leaf names) and without outer blanks"
        )
    return value


GroupName = Annotated[str, AfterValidator(_check_group)]

ExternalNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
"""Names that a group has at an external identity provider. An empty list could mean "nobody" and
"the usual name" as well: who means the latter leaves the provider out."""


def quantity(value: str) -> Decimal:
    """The number that a Kubernetes quantity stands for: `1000m` and `1` are equal.

    Raises:
        ValueError: it is not a quantity.
    """
    number = Decimal(parse_quantity(value))  # type: ignore[no-untyped-call]
    with localcontext(prec=60):
        # As Kubernetes keeps it: rounded up to billionths.
        return (number * 10**9).to_integral_value(ROUND_CEILING) / 10**9


def _check_quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise ValueError("a quantity is a number with an optional unit, as 500m, 4, 10Gi")
    if quantity(value) < 0:
        raise ValueError("a quantity must not be negative")
    if quantity(value) > MAX_QUANTITY:
        raise ValueError(f"a quantity is at most {MAX_QUANTITY}; Kubernetes lowers it to that")
    return value


def _as_amount(value: Any) -> Any:
    """A number counts as such, however it is spelled in YAML: `0x10` is 16."""
    return str(value) if _is_number(value) else value


def as_written(value: Any) -> Any:
    """A number where text is wanted keeps its text: `0042` and `1.10` stay as they are."""
    return source_text(value) if _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a whole number, not true or false")  # noqa: TRY004 for pydantic
    return value


WHOLE = BeforeValidator(_check_whole)
"""Makes a number refuse true and false: Python counts them as 1 and 0, and the author of a
file means something else. It comes after the number's limits, or the JSON Schema loses those."""

MAX_INT = 2**31 - 1
"""The greatest number that every system keeps."""


def text_or_number(pattern: str) -> WithJsonSchema:
    """Return the JSON Schema of a text that YAML reads as a number if it is not quoted."""
    return WithJsonSchema({"type": ["string", "number"], "pattern": f"^({pattern})$"})


def text_like(pattern: str) -> Any:
    """Return what the JSON Schema of a text says about its form."""
    return Field(json_schema_extra={"pattern": f"^({pattern})$"})


def fits(pattern: str, words: str) -> Any:
    """Return the rule that a text matches a pattern; messages give it in words."""

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
    """Bytes of a storage quota as Harbor counts them; `unlimited` is -1."""
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
        raise ValueError("a storage quota lies between 1 byte and 1024Ti, or is 'unlimited'")
    return value


StorageQuota = Annotated[
    str,
    BeforeValidator(_as_amount),
    AfterValidator(_check_storage),
    text_or_number(rf"{UNLIMITED}|{_AMOUNT}"),
]
"""How much a Harbor project may hold: `10Gi`, or `unlimited`."""
