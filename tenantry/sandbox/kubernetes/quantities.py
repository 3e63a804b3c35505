"""Quantities such as 500m and 2Gi, and the canonical form in which the server stores them."""

import math
import re
from fractions import Fraction

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?")
_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
}

REGEX = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"


def value(text: str) -> Fraction:
    """Return a quantity as a number; raise ValueError if it is not a quantity."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(text)
    number, suffix = Fraction(found[1]), str(found[2] or "")
    if suffix in _BINARY:
        return number * Fraction(_BINARY[suffix])
    if suffix in _DECIMAL:
        return number * _DECIMAL[suffix]
    power: Fraction = Fraction(10) ** int(suffix[1:])
    return number * power


def canonical(text: str) -> str:
    """Return a quantity as the server shows it: 1000m is 1, 1024Mi is 1Gi, 1000 is 1k."""
    amount = value(text)
    found = _FORM.fullmatch(text)
    assert found is not None
    suffix = found[2] or ""
    if suffix in _BINARY and abs(amount) >= 1024 and amount.denominator == 1:
        whole = int(amount)
        for unit, size in reversed(_BINARY.items()):
            if whole % size == 0:
                return f"{whole // size}{unit}"
        return str(whole)
    if not amount:
        return "0"
    exponent = suffix[:1] in ("e", "E") and len(suffix) > 1
    for unit, size in reversed(_DECIMAL.items()):
        if (amount / size).denominator == 1:
            power = round(math.log10(size))
            scaled = f"{amount / size}"
            return (
                f"{scaled}e{power}" if exponent and power else scaled + ("" if exponent else unit)
            )
    return f"{math.ceil(amount / _DECIMAL['n'])}n"
