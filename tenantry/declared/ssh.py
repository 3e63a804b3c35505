"""SSH connections of the Git client, in this process, so that the key stays in memory."""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import paramiko
from dulwich.client import SSHVendor
from paramiko.hostkeys import HostKeyEntry

from tenantry.calls import TIMEOUT
from tenantry.confidential import hide_wire_logs
from tenantry.errors import SystemRefused, SystemUnavailable

hide_wire_logs()


class Ssh(SSHVendor):
    """Runs Git's command on a server with a known host key, with the given private key only.

    It uses no SSH agent and no files in the home directory. Its connections are closed at the end
    of the context.
    """

    def __init__(self, call: str, key: paramiko.PKey, known_hosts: str) -> None:
        self._call = call
        self._key = key
        self._known_hosts = known_hosts
        self._connections = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connections.close()

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """Connect, start the command, and return it.

        Raises:
            SystemRefused: the server rejects the key, or the server's host key is not known.
            SystemUnavailable: the server does not answer.
        """
        client = paramiko.SSHClient()
        self._connections.callback(client.close)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for line in self._known_hosts.splitlines():
            if line.strip() and (entry := HostKeyEntry.from_line(line)):
                for name in entry.hostnames:
                    client.get_host_keys().add(name, entry.key.get_name(), entry.key)
        try:
            client.connect(
                host,
                port=port or 22,
                username=username,
                pkey=self._key,
                allow_agent=False,
                look_for_keys=False,
                timeout=TIMEOUT,
                banner_timeout=TIMEOUT,
                auth_timeout=TIMEOUT,
                channel_timeout=TIMEOUT,
            )
            transport = client.get_transport()
            assert transport is not None
            channel = transport.open_session(timeout=TIMEOUT)
            channel.settimeout(TIMEOUT)
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._translate(error, username) from None
        return _Running(channel)

    def _translate(self, error: Exception, username: str | None) -> Exception:
        if isinstance(error, paramiko.AuthenticationException):
            text = f"the server rejects this SSH key for user '{username}'"
            advice = "Add the public key to the repository, with write access."
            return SystemRefused("git", self._call, text, advice=advice)
        if isinstance(error, paramiko.BadHostKeyException) or "known_hosts" in str(error):
            text = "the server's host key is not in known_hosts"
            advice = (
                "If the host key is genuine, add it to known_hosts in the Declared State block."
            )
            return SystemRefused("git", self._call, text, advice=advice)
        return SystemUnavailable("git", self._call, f"no answer ({type(error).__name__})")


class _Running:
    """A running command on the server, with the interface that the Git client expects."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.can_read: Callable[[], bool] = channel.recv_ready
        self.stderr = channel.makefile_stderr("rb")

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        found = b""
        while len(found) < size and (more := self._channel.recv(size - len(found))):
            found += bytes(more)
        return found

    def write(self, data: bytes) -> int:
        """Write all data, and return its length."""
        self._channel.sendall(data)
        return len(data)

    def close(self) -> None:
        """Close the command's channel."""
        self._channel.close()
