"""Compares the names of people without regard to case, and never takes two names for one."""


def fold(name: str) -> str:
    """Return a name with each letter in lower case, if that letter is its one other case.

    `str.casefold` is made for searching: it maps `groß` and `gross`, or the Kelvin sign and `k`, to
    the same text. Two names that this function maps to the same text differ in case only.
    """
    return "".join(map(_fold, name))


def _fold(letter: str) -> str:
    lower = letter.lower()
    return lower if lower.upper() == letter else letter
