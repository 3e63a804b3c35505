"""Server processes that never outlive the tests, and errors with the last lines of their logs.

All servers write into one temporary directory, and each runs in a separate process group. A small
watchdog shell reads from a pipe. When the test process ends for any reason, the pipe closes, and
the shell kills the servers and removes the directory.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from tests.real.servers.cache import Progress, quiet

# SIGKILL is fine, because the data of these servers is not needed any more.
_WATCH = """
groups=
while read -r group; do groups="$groups -$group"; done
[ -z "$groups" ] || kill -s KILL -- $groups 2>/dev/null
sleep 1
rm -rf -- "$1"
"""

Result = TypeVar("Result")


class ServerError(Exception):
    """A server could not be prepared or started; the message contains the end of its log."""


class PortTakenError(ServerError):
    """Another process bound a port after it was chosen and before it was used."""


def free_ports(count: int) -> list[int]:
    """Return `count` different unused TCP ports of the loopback address."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def last_lines(log: Path, count: int = 25) -> str:
    """Return the last lines of a log file, indented for an error message."""
    try:
        with log.open(errors="replace") as file:
            return "".join(f"    {line.rstrip()}\n" for line in deque(file, maxlen=count))
    except FileNotFoundError:
        return "    (no log)\n"


def run(
    what: str,
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float,
    progress: Progress = quiet,
    may_fail: bool = False,
) -> str:
    """Run a command and return its standard output.

    Raise ServerError with the last lines of its output if the command fails or takes longer than
    `timeout` seconds; a command that `may_fail` only has to print something. Report progress
    every 30 seconds while it runs.
    """
    with tempfile.TemporaryDirectory(prefix="tenantry-command-") as temporary:
        output, log = Path(temporary, "output"), Path(temporary, "log")
        with output.open("w") as out, log.open("w") as err:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerError(f"{what}: cannot run {command[0]}: {error.strerror}") from error
        started = time.monotonic()
        try:
            while True:
                try:
                    code = process.wait(timeout=min(30.0, timeout))
                    break
                except subprocess.TimeoutExpired:
                    passed = time.monotonic() - started
                    if passed >= timeout:
                        words = last_lines(log) + last_lines(output)
                        raise ServerError(
                            f"{what}: not done after {passed:.0f} seconds\n{words}"
                        ) from None
                    progress(f"{what}: still at it after {passed:.0f} seconds")
        finally:
            kill_group(process)
        text = output.read_text(errors="replace")
        if code != 0 and not (may_fail and text):
            words = last_lines(log) + last_lines(output)
            raise ServerError(f"{what}: {command[0]} failed with code {code}\n{words}")
        return text


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process group; `process` must be its leader."""
    # Children can outlive their leader, so the group is killed even if the leader has exited.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Servers:
    """A temporary directory and the server processes that use it, with a common lifetime."""

    def __init__(self, name: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"tenantry-{name}-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._owner = os.getpid()
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "watch", str(self.directory)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.stop)

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a server, with its output in a log file in the directory."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[name] = process
        pipe = self._watch.stdin
        assert pipe is not None
        pipe.write(f"{process.pid}\n".encode())
        pipe.flush()

    def log(self, name: str) -> Path:
        """Return the path of a server's log."""
        return self.directory / f"{name}.log"

    def wait_until(
        self, what: str, ready: Callable[[], bool], *, timeout: float, interval: float = 0.1
    ) -> None:
        """Wait until `ready` returns true; raise ServerError if a server exits before."""
        end = time.monotonic() + timeout
        while not ready():
            self.check()
            if time.monotonic() > end:
                logs = "\n".join(f"{n}:\n{last_lines(self.log(n))}" for n in self._processes)
                raise ServerError(f"{what}: not after {timeout:.0f} seconds\n{logs}")
            time.sleep(interval)

    def check(self) -> None:
        """Raise ServerError with the last lines of the log if a server has exited."""
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None:
                words = last_lines(self.log(name))
                kind = PortTakenError if _says_port_is_taken(words) else ServerError
                raise kind(f"{name} ended with code {code}:\n{words}")

    def memory(self) -> dict[str, int]:
        """Return the resident memory of each server in MiB; empty on systems without /proc."""
        found: dict[str, int] = {}
        for name, process in self._processes.items():
            for pid in _group(process.pid):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    size = pages * os.sysconf("SC_PAGE_SIZE") // 2**20
                    found[name] = found.get(name, 0) + size
        return found

    def terminate(self, name: str, timeout: float) -> None:
        """Stop one server with SIGTERM, so that its files are complete."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ServerError(f"{name} did not end:\n{last_lines(self.log(name))}") from None
        finally:
            kill_group(process)

    def stop(self) -> None:
        """Stop all servers and remove the directory; a second call does nothing."""
        atexit.unregister(self.stop)
        if os.getpid() != self._owner:
            return  # a forked child must not stop the servers of its parent
        for process in self._processes.values():
            kill_group(process)
        self._processes.clear()
        # The watchdog ends last, because it cleans up if this process dies before.
        kill_group(self._watch)
        if self._watch.stdin is not None:
            self._watch.stdin.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def retry_on_taken_port(start: Callable[[], Result], attempts: int = 3) -> Result:
    """Return the result of `start`, which is retried if another process has bound its port."""
    for _ in range(attempts - 1):
        with contextlib.suppress(PortTakenError):
            return start()
    return start()


def _says_port_is_taken(words: str) -> bool:
    lower = words.lower()
    return "address already in use" in lower or "port already bound" in lower


def _group(leader: int) -> list[int]:
    """Return the processes of a group; empty on systems without /proc."""
    members: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The command name in parentheses may contain blanks; the group is the third field
            # after it.
            if int(stat.read_text().rpartition(")")[2].split()[2]) == leader:
                members.append(int(stat.parent.name))
    return members
