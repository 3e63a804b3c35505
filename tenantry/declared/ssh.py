"""SSH for the Git client, in this process: the key stays in memory."""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import paramiko
from dulwich.client import SSHVendor
from paramiko.hostkeys import HostKeyEntry

from tenantry.calls import TIMEOUT
from tenantry.errors import SystemRefused, SystemUnavailable


class Ssh(SSHVendor):
    """Runs Git's command on a server whose key is known, as nobody but the key's owner.

    Neither an agent nor what lies in the home directory is asked. Its connections last as long
    as the context.
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
        """Connects and starts the command.

        Raises:
            SystemRefused: the key, or the server's own, is not accepted.
            SystemUnavailable: there is no answer.
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
            raise self._told(error, username) from None
        return _Running(channel)

    def _told(self, error: Exception, username: str | None) -> Exception:
        if isinstance(error, paramiko.AuthenticationException):
            text = f"the server does not let '{username}' in with this SSH key"
            advice = "Add the key's public half to the repository, with the right to write."
            return SystemRefused("git", self._call, text, advice=advice)
        if isinstance(error, paramiko.BadHostKeyException) or "known_hosts" in str(error):
            text = "the server's key is not one of known_hosts"
            advice = "Correct known_hosts in the Declared State block, if the new key is genuine."
            return SystemRefused("git", self._call, text, advice=advice)
        return SystemUnavailable("git", self._call, f"no answer ({type(error).__name__})")


class _Running:
    """A command under way on the server, as the Git client talks to it."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.can_read: Callable[[], bool] = channel.recv_ready
        self.stderr = channel.makefile_stderr("rb")

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        found = b""
        while len(found) < size and (more := self._channel.recv(size - len(found))):
            found += bytes(more)
        return found

    def write(self, data: bytes) -> int:
        """Writes all of it."""
        self._channel.sendall(data)
        return len(data)

    def close(self) -> None:
        """Ends the command."""
        self._channel.close()
