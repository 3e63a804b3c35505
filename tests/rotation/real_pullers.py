"""Threads that pull from the sandbox's registry all the time: with skopeo, and by HTTP requests."""

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.sandbox.calls import Caller
from tests.support.harness import Bench
from tests.support.images import MANIFEST

SKOPEOS, SIMULATED = 2, 4
"""The number of threads that pull with skopeo, and by HTTP requests."""
DELAY = 2.0
"""The seconds after which a puller reads a Secret again."""


class Gate:
    """Lets many threads pull at once, or one thread change the clock while none pulls."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def pulling(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


Pull = Callable[[str, Path], bool]


class Pulling:
    """Threads that pull all the time, each with Secrets that it reads every `DELAY` seconds.

    Attributes:
        pulls: The number of pulls, by kind of thread.
        failed: The number of failed pulls, by kind of thread.
    """

    def __init__(
        self,
        folder: Path,
        ways: Sequence[Pull],
        projects: Sequence[str],
        read: Callable[[str], list[str]],
    ) -> None:
        """
        Args:
            folder: A folder for the pullers' files.
            ways: How to pull; each is used by a thread.
            projects: The projects to pull from.
            read: Returns the Docker configurations for a project. A puller tries one after the
                other, as a kubelet does.
        """
        self.gate = Gate()
        self.pulls: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self._projects = projects
        self._read = read
        self._folder = folder
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._go_on, args=(number, way), daemon=True)
            for number, way in enumerate(ways)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, number: int, way: Pull) -> None:
        choose = random.Random(number)
        read_at: dict[str, float] = {}
        files: dict[str, list[Path]] = {}
        while not self._stop.is_set():
            project = choose.choice(self._projects)
            with self.gate.pulling():
                if time.monotonic() > read_at.get(project, -9.0) + DELAY:
                    files[project] = self._write(number, project)
                    read_at[project] = time.monotonic()
                succeeded = any(way(project, file) for file in files[project])
            with self._lock:
                name = way.__name__
                self.pulls[name] = self.pulls.get(name, 0) + 1
                self.failed[name] = self.failed.get(name, 0) + (not succeeded)

    def _write(self, number: int, project: str) -> list[Path]:
        """Write the Docker configurations of a project to files, and return these."""
        written = []
        for index, text in enumerate(self._read(project)):
            file = self._folder / f"{number}-{project}-{index}.json"
            file.write_text(text)
            written.append(file)
        return written


def ways(made: Bench, folder: Path) -> list[Pull]:
    host = made.sandbox.addresses()["harbor"]["url"].removeprefix("http://")
    names = iter(range(10**9))

    def skopeo(team: str, file: Path) -> bool:
        into = f"dir:{folder}/pulled-{next(names)}"
        source = f"docker://{host}/{team}/web:1"
        options = ["--src-tls-verify=false", f"--src-authfile={file}"]
        words = ["skopeo", "--insecure-policy", "copy", "--quiet", *options, source, into]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def simulated(team: str, file: Path) -> bool:
        credential = _credential(file)
        caller = Caller(f"http://{host}", *credential)
        query = f"service=harbor-registry&scope=repository:{team}/web:pull"
        token = caller("GET", f"/service/token?{query}").json()["token"]
        headers = {"authorization": f"Bearer {token}", "accept": MANIFEST}
        answer = Caller(f"http://{host}")("GET", f"/v2/{team}/web/manifests/1", headers=headers)
        return bool(answer.status_code == 200)

    pulls: list[Pull] = [skopeo] * SKOPEOS
    return pulls + [simulated] * SIMULATED


def _credential(file: Path) -> tuple[str, str]:
    (entry,) = json.loads(file.read_text())["auths"].values()
    return entry["username"], entry["password"]
