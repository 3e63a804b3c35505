"""Errors in the logs of a platform's processes, without those that are known to be harmless."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Noise:
    """Log entries at level ERROR, or with a traceback, that are harmless.

    Attributes:
        pattern: a regular expression that matches a part of the entry.
        reason: why the entry is harmless.
    """

    pattern: str
    reason: str


NOISE: tuple[Noise, ...] = (
    Noise(
        r"""\| ERROR +\| (Flow|Task) run ['"](?!.*Traceback)""",
        "A failed run is logged at level ERROR. Its state is checked instead.",
    ),
    Noise(
        r"Encountered error during state validation.*sqlite3\.OperationalError\) database is locked",
        "On SQLite, Prefect's server answers 503 during another long write, and the client repeats "
        "the call.",
    ),
    Noise(
        r"Worker channel heartbeat persistence failed: .*sqlite3\.OperationalError\) database is locked",
        "On SQLite, Prefect's server could not store a worker's heartbeat during another long write. "
        "It stores the next one.",
    ),
    Noise(
        r"docket\.dependencies - .*monitor_worker_health\(.*sqlite3\.OperationalError\) database is "
        "locked",
        "On SQLite, Prefect's server could not mark a silent worker as offline during another long "
        "write. It tries again after its interval.",
    ),
    Noise(
        r"Crash detected! Execution was aborted by a termination signal\.\s*$",
        "If a worker or the process that serves the flows is stopped, its runs end and log this. A "
        "worker starts a scheduled run seconds before its time.",
    ),
)
_ENTRY = re.compile(r"^(?=\d\d:\d\d:\d\d\.\d{3} \| |[A-Z]+: {2,})", re.MULTILINE)
_ERROR = re.compile(
    r"^\S+ \| (ERROR|CRITICAL) |^(ERROR|CRITICAL): |Traceback \(most recent call last\)",
    re.MULTILINE,
)


def errors(text: str, noise: Iterable[Noise] = NOISE) -> Iterator[str]:
    """Yield the entries of a log that have a traceback or the level ERROR and are not noise."""
    harmless = [re.compile(known.pattern, re.DOTALL) for known in noise]
    for entry in _ENTRY.split(text):
        if _ERROR.search(entry) and not any(known.search(entry) for known in harmless):
            yield entry.strip()


@dataclass
class LogReader:
    """A reader of the new entries of log files."""

    noise: tuple[Noise, ...] = NOISE
    _read: dict[Path, int] = field(default_factory=dict)

    def errors(self, logs: Iterable[Path]) -> list[str]:
        """Return the errors since the last call, each with the name of its log."""
        found = []
        for log in logs:
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                new = file.read()
            self._read[log] = self._read.get(log, 0) + len(new)
            text = new.decode(errors="replace")
            found += [f"{log.name}: {entry}" for entry in errors(text, self.noise)]
        return found
