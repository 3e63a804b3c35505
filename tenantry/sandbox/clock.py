"""The clock of the sandbox, used for every timestamp, expiry and session lifetime.

It follows the clock of the machine with an offset, so that a test can expire a robot of one year
without waiting.
"""

from datetime import UTC, datetime, timedelta


class Clock:
    """The time of the machine plus an offset."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the current time, with the time zone UTC."""
        return datetime.now(UTC) + self._offset

    def move(self, seconds: float) -> None:
        """Move the clock forward by `seconds`, or back if they are negative."""
        self._offset += timedelta(seconds=seconds)
