"""A temporary PostgreSQL server for a test."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.processes import free_port

SUPERUSER = "postgres"
PASSWORD = "superuser"


class Postgres:
    """A PostgreSQL server on a port of the loopback address while the context lasts.

    PostgreSQL refuses to run as root. Then the user that Debian's package creates runs it, in a
    folder outside pytest's, which other users cannot read.

    Attributes:
        host: host and port.
    """

    def __init__(self) -> None:
        self._port = free_port()
        self.host = f"127.0.0.1:{self._port}"
        self._user = SUPERUSER if os.geteuid() == 0 else None

    def url(self, user: str = SUPERUSER, password: str = PASSWORD, database: str = "") -> str:
        """Return the address of a database, by default the superuser's."""
        return f"postgresql://{user}:{password}@{self.host}/{database or user}"

    def create(self, name: str) -> str:
        """Create a database with an owner of the same name, and return its address."""
        for statement in (
            f"CREATE ROLE {name} LOGIN PASSWORD '{name}'",
            f"CREATE DATABASE {name} OWNER {name}",
        ):
            subprocess.run(["psql", "-qc", statement, self.url()], check=True)
        return self.url(name, name, name)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="tenantry-postgres-"))
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-D", "data", "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile=password"
        )
        # Temporary data need not survive a power cut.
        options = f"-p {self._port} -h 127.0.0.1 -k '' -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run("pg_ctl", "stop", "-w", "-D", "data", "-m", "immediate")
        shutil.rmtree(self._folder)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [_program(name), *arguments],
            cwd=self._folder,
            user=self._user,
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _program(name: str) -> str:
    """Return the path of a program of PostgreSQL; Debian keeps those of the server out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"the program {name} is missing: install postgresql"
    return path
