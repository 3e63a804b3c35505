"""The CPU time and the memory of Prefect's processes, read from /proc."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class PrefectProcesses:
    """Measures Prefect's processes: the server, the process that serves the flows, and the run.

    Attributes:
        memory: the peak memory of the process that runs the flow, in MiB.
    """

    def __init__(self) -> None:
        self.memory = 0.0
        self._before = {process: _cpu(process) for process in _children(os.getpid())}
        self._now = dict(self._before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """The CPU seconds of these processes."""
        return sum(self._now.values()) - sum(self._before.values())

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            for process in _children(os.getpid()):
                self._now[process] = max(_cpu(process), self._now.get(process, 0.0))
                if b"prefect.engine" in _read(process, "cmdline"):
                    self.memory = max(self.memory, _peak_memory(process))


def _children(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*"):
        for child in map(int, _read(process, f"task/{task.name}/children").split()):
            yield child
            yield from _children(child)


def _read(process: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{file}").read_bytes()
    except OSError:  # it has ended
        return b""


def _cpu(process: int) -> float:
    """Return the CPU seconds of a process; 0 for the sandbox, and if it has ended."""
    if b"sandbox" in _read(process, "cmdline"):
        return 0.0
    fields = _read(process, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _peak_memory(process: int) -> float:
    for line in _read(process, "status").splitlines():
        if line.startswith(b"VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
