"""The socket of a server, which it shares with nobody, and the HTTP that listens on it."""

from __future__ import annotations

import os
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]  # its stub hides it
from granian.server.embed import Server

from nurture_envs.errors import NurtureError
from nurture_rl.serving.http.door import Application

_BACKLOG = 1024  # connections that wait to be accepted
_CONNECTIONS = 4096  # accepted at once; each is an open file
_OTHER_FILES = 100  # of the process: database, libraries, the bundle
_HEADERS_MS = 10_000  # for a request's headers, and for a silent connection; then it is closed


class ListenError(NurtureError):
    """The address cannot be listened on; the message says why."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address for this process alone; it does not listen yet.

    Args:
        host: a name or an IP address; a name gives its first address.
        port: 1 to 65535.

    Raises:
        ListenError: the host is unknown, or the port is none, taken or not ours to take.
    """
    if not 1 <= port <= 65_535:
        raise ListenError(f"expected a port from 1 to 65535, got {port}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"expected a host of this machine, got {host!r}: {error}; give 127.0.0.1 for this "
            "machine alone, or 0.0.0.0 for all its networks"
        ) from error
    family, kind, protocol, _, address = addresses[0]
    bound = socket.socket(family, kind, protocol)
    # A port whose last owner has just gone is free. SO_REUSEPORT would let two servers share one.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _refused(host, port, error) from error
    return bound


class Listener(Server):
    """Granian on a socket that was bound before: its own binding would share a taken port."""

    def __init__(self, app: Application, bound: socket.socket) -> None:
        """Listen on the socket.

        Raises:
            ListenError: another process listens there.
        """
        host, port, *_ = bound.getsockname()  # IPv6 names more
        try:
            bound.listen(_BACKLOG)
        except OSError as error:
            raise _refused(host, port, error) from error
        self._bound = bound
        super().__init__(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            # HTTP/1 alone: telling versions apart waits for a first byte without a limit.
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=_HEADERS_MS),
            websockets=False,
            backlog=_BACKLOG,
            # A process out of files would accept nobody for good.
            backpressure=min(_CONNECTIONS, max(1, os.sysconf("SC_OPEN_MAX") - _OTHER_FILES)),
            log_level=LogLevels.error,
        )

    def _init_shared_socket(self) -> None:
        self._ssp = None
        holder: Any = (
            SocketHolder  # whose stub hides how it is made: descriptor, Unix socket, backlog
        )
        self._shd = holder(self._bound.detach(), False, _BACKLOG)  # which closes it


def _refused(host: str, port: int, error: OSError) -> ListenError:
    return ListenError(
        f"cannot listen on port {port} of {host}: {error.strerror}; stop what uses it, or give "
        "another port= or host="
    )
