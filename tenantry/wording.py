"""Numbers and lengths of time as a sentence says them."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 team`, `2 teams`; `plural` where that is not noun + s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def days(number: float) -> str:
    """Return a length of time in days: `3 days`, `1 day`, `less than a day`.

    A negative one, because two clocks differ, is `less than a day` too.
    """
    return count(round(number), "day") if round(number) > 0 else "less than a day"


def days_off(number: float) -> str:
    """Return how far off a moment is, in days: `in 3 days`, or `3 days ago` if it is past."""
    return f"in {days(number)}" if number > 0 else f"{days(-number)} ago"
