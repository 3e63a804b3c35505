"""Regular expressions of the declared state, matched in linear time.

Harbor compiles them with Go's RE2, Keycloak with Java's engine. Only expressions with the same
meaning in both are accepted. So back-references and look-around, which RE2 lacks, are refused.
"""

import re
from typing import Any

import re2

MAX_LENGTH = 10_000
"""The maximum length of an expression, in characters."""
_MEMORY = 2**20

_OTHER_MEANING = re.compile(
    r"(?P<named>(?<!\\)\(\?P)"
    r"|(?P<posix>\[:)"
    r"|(?P<both>&&)"
    r"|(?P<flag>\(\?[a-z]*U)"
    r"|(?P<byte>\\C)"
    r"|(?P<count>\{,)"
)
_REMEDIES = {
    "named": "Keycloak does not support '(?P'; write '(?:' or '('",
    "posix": "'[:' has another meaning in Keycloak; write the characters, such as a-z",
    "both": "'&&' has another meaning in Keycloak; write '&' once in [ ], and '&{2}' elsewhere",
    "flag": "the flag U has another meaning in Keycloak; remove it",
    "byte": "Keycloak does not support '\\C'; write '.'",
    "count": "Keycloak does not support '{,'; write '{0,'",
}


class Expression:
    """A compiled regular expression."""

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """
        Args:
            text: the expression.
            ignore_case: whether to ignore upper and lower case.

        Raises:
            ValueError: the text is not an RE2 regular expression, or is too large.
        """
        options: Any = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY
        options.case_sensitive = not ignore_case
        try:
            self._compiled: Any = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0] if error.args else b""
            reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            raise ValueError(_explain(reason)) from None
        except ValueError:
            raise ValueError("contains a character that is not valid Unicode") from None

    def matches(self, text: str) -> bool:
        """Return whether the expression matches the whole text."""
        return self._compiled.fullmatch(text) is not None

    def is_in(self, text: str) -> bool:
        """Return whether the expression matches a part of the text."""
        return self._compiled.search(text) is not None


def check(text: str) -> None:
    """Check an expression that Tenantry writes to a system.

    Raises:
        ValueError: the expression is too long or invalid, or Keycloak and Harbor would interpret it
            differently.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has more than {MAX_LENGTH} characters; make it shorter")
    Expression(text)
    if found := _OTHER_MEANING.search(text):
        raise ValueError(_REMEDIES[str(found.lastgroup)])


def _explain(reason: str) -> str:
    if reason.startswith("invalid escape sequence: \\") and reason[-1:].isdigit():
        return "has a back-reference, which takes unbounded time; repeat the group's expression"
    if reason.startswith("invalid perl operator: (?"):
        return (
            f"has '{reason.rpartition(' ')[2]}': look-around and similar syntax is not supported, "
            "since it takes unbounded time; describe the matching text itself"
        )
    return f"is not an RE2 regular expression: {reason}"
