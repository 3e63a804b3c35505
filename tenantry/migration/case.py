"""Case-insensitive comparison of names that never treats two different names as equal."""


def fold(name: str) -> str:
    """Return a name in lower case, except for letters that share their lower case with others.

    `str.casefold` is made for search: it maps `groß` and `gross`, or the Kelvin sign and `k`, to the
    same text. If this function maps two names to the same text, the names differ in case only.
    """
    return "".join(map(_fold, name))


def _fold(letter: str) -> str:
    lower = letter.lower()
    return lower if lower.upper() == letter else letter
