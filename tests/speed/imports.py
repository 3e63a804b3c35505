"""Which modules a fresh interpreter imports, and the CPU time that it takes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COMMAND = """
import json, os, sys, time
from tenantry.cli import main

channel = int(sys.argv.pop(1))
try:
    main()
finally:
    os.write(channel, json.dumps([time.process_time(), sorted(sys.modules)]).encode())
"""
_MODULES = """
import json, os, sys, time

channel, first, *names = sys.argv[1:]
if first == "prefect":
    from prefect import flow, task
before, began = set(sys.modules), time.process_time()
with open(int(channel), "w") as file:
    print(json.dumps(["", began, sorted(before)]), file=file, flush=True)
    for name in names:
        child = os.fork()  # each module is imported by a process of its own
        if not child:
            began = time.process_time()
            for each in name.split("+"):
                __import__(each)
            seconds = time.process_time() - began
            print(json.dumps([name, seconds, sorted(set(sys.modules) - before)]), file=file, flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert not status, name
"""


@dataclass(frozen=True)
class Loaded:
    """What a process has imported."""

    seconds: float
    """The CPU time that it took."""
    modules: frozenset[str]


def load_command(*arguments: str) -> Loaded:
    """Return what a command of the command line imports, which must succeed, and its CPU time."""
    seconds, modules = json.loads(_run(_COMMAND, arguments))
    return Loaded(seconds, frozenset(modules))


def load_modules(names: Iterable[str], *, after_prefect: bool = False) -> dict[str, Loaded]:
    """Return what each module imports, each in a process of its own.

    Args:
        names: the modules; `a+b` imports two of them.
        after_prefect: leave out what Prefect imports.

    Returns:
        The result by name; that of the empty name is what was imported before, such as Prefect.
    """
    text = _run(_MODULES, ["prefect" if after_prefect else "", *names])
    lines: list[Any] = [json.loads(line) for line in text.splitlines()]
    return {name: Loaded(seconds, frozenset(modules)) for name, seconds, modules in lines}


def _run(code: str, arguments: Iterable[str]) -> str:
    """Run Python code with a number of a file, and the arguments; return the content of the file."""
    # As in an installation: the byte code of all modules is kept.
    env = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    reading, writing = os.pipe()
    with open(reading) as channel:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(writing), *arguments],
            cwd=Path(__file__).parents[2],
            env=env,
            pass_fds=[writing],
            stdout=subprocess.DEVNULL,
        )
        os.close(writing)
        text = channel.read()
    assert process.wait(60) == 0, arguments
    return text
