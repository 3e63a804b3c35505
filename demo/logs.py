"""Errors in the logs of a platform's processes, without those that mean nothing."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Noise:
    """Log entries at level ERROR, or with a traceback, that report no fault.

    Attributes:
        pattern: matches somewhere in the entry.
        reason: why the entry is harmless.
    """

    pattern: str
    reason: str


NOISE: tuple[Noise, ...] = (
    Noise(
        r"""\| ERROR +\| (Flow|Task) run ['"](?!.*Traceback)""",
        "A run that ends Failed says so at level ERROR; its state is what counts.",
    ),
    Noise(
        r"Encountered error during state validation.*sqlite3\.OperationalError\) database is locked",
        "On SQLite, Prefect's server answers 503 while another write takes long, and the client "
        "repeats the call.",
    ),
    Noise(
        r"Worker channel heartbeat persistence failed: .*sqlite3\.OperationalError\) database is locked",
        "On SQLite, Prefect's server could not store that a worker is alive while another write took "
        "long. The worker's next heartbeat stores it.",
    ),
    Noise(
        r"Crash detected! Execution was aborted by a termination signal\.\s*$",
        "Whoever stops a worker, or what serves the flows, ends its runs, and each of them says so. A "
        "worker starts a scheduled run seconds before its time.",
    ),
)
_ENTRY = re.compile(r"^(?=\d\d:\d\d:\d\d\.\d{3} \| |[A-Z]+: {2,})", re.MULTILINE)
_ERROR = re.compile(
    r"^\S+ \| (ERROR|CRITICAL) |^(ERROR|CRITICAL): |Traceback \(most recent call last\)",
    re.MULTILINE,
)


def errors(text: str, noise: Iterable[Noise] = NOISE) -> Iterator[str]:
    """Return the entries of a log that have a traceback or the level ERROR and are not noise."""
    harmless = [re.compile(known.pattern, re.DOTALL) for known in noise]
    for entry in _ENTRY.split(text):
        if _ERROR.search(entry) and not any(known.search(entry) for known in harmless):
            yield entry.strip()


@dataclass
class LogReader:
    """Reads what log files have gained since the last time."""

    noise: tuple[Noise, ...] = NOISE
    _read: dict[Path, int] = field(default_factory=dict)

    def errors(self, logs: Iterable[Path]) -> list[str]:
        """Return the errors that were written since the last call, each with its log's name."""
        found = []
        for log in logs:
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                new = file.read()
            self._read[log] = self._read.get(log, 0) + len(new)
            text = new.decode(errors="replace")
            found += [f"{log.name}: {entry}" for entry in errors(text, self.noise)]
        return found
