"""Regular expressions of the declared state, matched in time that grows with the text only.

Harbor compiles them with Go's RE2, Keycloak with Java's engine. What is accepted here means the
same to both, so back-references and look-around, which RE2 lacks, are not.
"""

import re
from typing import Any

import re2

MAX_LENGTH = 10_000
"""Longest expression, in characters."""
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
    "named": "'(?P' is not known to Keycloak; write '(?:' or '('",
    "posix": "'[:' means something else to Keycloak; write the characters, such as a-z",
    "both": "'&&' means something else to Keycloak; write '&' once in [ ], and '&{2}' elsewhere",
    "flag": "the flag U means something else to Keycloak; remove it",
    "byte": "'\\C' is not known to Keycloak; write '.'",
    "count": "'{,' is not known to Keycloak; write '{0,'",
}


class Expression:
    """A compiled regular expression."""

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """
        Args:
            text: the expression.
            ignore_case: whether upper and lower case are the same.

        Raises:
            ValueError: it is not a regular expression of RE2, or too large.
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
            raise ValueError("holds a character that is not one of Unicode's") from None

    def matches(self, text: str) -> bool:
        """Return whether the whole text fits."""
        return self._compiled.fullmatch(text) is not None

    def is_in(self, text: str) -> bool:
        """Return whether a part of the text fits."""
        return self._compiled.search(text) is not None


def check(text: str) -> None:
    """Check an expression that a system gets.

    Raises:
        ValueError: it is too long, not a regular expression, or one that Keycloak and Harbor
            understand differently.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has more than {MAX_LENGTH} characters; make it shorter")
    Expression(text)
    if found := _OTHER_MEANING.search(text):
        raise ValueError(_REMEDIES[str(found.lastgroup)])


def _explain(reason: str) -> str:
    if reason.startswith("invalid escape sequence: \\") and reason[-1:].isdigit():
        return "refers back to a group, which takes unbounded time; write what the group matches"
    if reason.startswith("invalid perl operator: (?"):
        return (
            f"has '{reason.rpartition(' ')[2]}': look-around and the like are not supported, since "
            "they take unbounded time; name what shall match"
        )
    return f"is not a regular expression of RE2: {reason}"
