"""The sandbox's clock: every timestamp, expiry and session lifetime reads it.

It runs with the machine's time and can be moved, so that a test sees a robot expire in a year
without waiting for it.
"""

from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's time plus what it was moved by."""

    def __init__(self) -> None:
        self._moved = timedelta()

    def now(self) -> datetime:
        """The present moment, aware and in UTC."""
        return datetime.now(UTC) + self._moved

    def move(self, seconds: float) -> None:
        """Move on (or, with a negative number, back) by so many seconds."""
        self._moved += timedelta(seconds=seconds)
