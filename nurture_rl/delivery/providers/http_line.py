"""One connection to a provider, on which it is known whether a request may have been taken."""

from __future__ import annotations

import http.client
import selectors
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from nurture_rl.delivery.sender_protocol import SenderAway
from nurture_rl.errors import ConfigError, DeliveryError

_HERE = ("localhost", "127.0.0.1", "::1")
_MOST_BYTES, _BLOCK = 1 << 20, 1 << 16  # of one answer, and read at a time


@dataclass(frozen=True, slots=True)
class HttpServer:
    """Where a provider listens."""

    host: str  # of an IPv6 address without its brackets
    port: int
    is_tls: bool
    base: str  # path before that of each request, without a slash at its end
    query: str  # what follows the question mark, or nothing
    ca_file: str | None  # of certificates that are trusted beside the system's; None: none
    timeout: float  # seconds without an answer

    @property
    def origin(self) -> str:
        """Scheme, host and port as an address has them."""
        scheme, usual = ("https", 443) if self.is_tls else ("http", 80)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" + ("" if self.port == usual else f":{self.port}")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer, whatever it says."""

    status: int
    headers: Mapping[str, str]  # by names in small letters
    content: bytes


class NoReply(Exception):
    """A request may have arrived, and no whole answer to it came."""


def http_server(url: str, ca_file: str | None, timeout: float) -> HttpServer:
    """Read where a provider listens.

    Raises:
        ConfigError: it is no such address, holds a secret, or would carry one in the clear.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"sender_url: expected https://HOST, got {url!r} ({error})") from error
    if parts.scheme not in ("https", "http") or not host or parts.fragment or not url.isascii():
        raise ConfigError(f"sender_url: expected https://HOST, got {url!r}")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("sender_url: expected no password in it; put it into sender_key_file")
    if parts.scheme == "http" and host not in _HERE:
        raise ConfigError(
            f"sender_url: expected https://, got http://{host}: keys and addresses would go over "
            "the line for all to read; plain http is for this machine alone"
        )
    base, is_tls = parts.path.rstrip("/"), parts.scheme == "https"
    # Without a port the standard library takes the end of an IPv6 address for one.
    port = port or (443 if is_tls else 80)
    return HttpServer(host, port, is_tls, base, parts.query, ca_file, timeout)


class HttpLine:
    """Keeps a connection open as long as the provider does."""

    def __init__(self, server: HttpServer) -> None:
        """Connect to nobody yet."""
        self.server = server
        self._line: http.client.HTTPConnection | None = None

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        goes_out: Callable[[], None] = lambda: None,
    ) -> HttpReply:
        """Send a request once and read its answer. Nobody is followed elsewhere.

        Args:
            method: such as POST.
            path: behind that of the server.
            headers: beside those of every request.
            content: None: none.
            goes_out: called when the line is up, before the first byte; it may raise.

        Raises:
            SenderAway: there is no connection, so nothing went out.
            DeliveryError: the provider is not who it should be.
            NoReply: the line broke after the first byte.
        """
        line = self._connected()
        goes_out()
        query = f"?{self.server.query}" if self.server.query else ""
        end = time.monotonic() + self.server.timeout
        try:
            line.request(method, f"{self.server.base}{path}{query}" or "/", content, dict(headers))
            answer = line.getresponse()
            if answer.status < 200:  # the answer itself follows, and would be the next one's
                raise http.client.HTTPException(f"an answer of status {answer.status}")
            with answer:  # a line whose answer is not closed takes no further request
                body = _body(answer, end)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoReply(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise
        if answer.will_close:
            self.close()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return HttpReply(answer.status, named, body)

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            with suppress(OSError):
                self._line.close()
            self._line = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._line is not None and self._line.sock is not None:
            # Whatever lies there now is no answer to a request that was not sent: mostly the end.
            with selectors.DefaultSelector() as looking:
                looking.register(self._line.sock, selectors.EVENT_READ)
                is_quiet = not looking.select(0)
            if is_quiet:
                return self._line
            self.close()
        server = self.server
        if server.is_tls:
            trusted = ssl.create_default_context()
            if server.ca_file is not None:
                trusted.load_verify_locations(server.ca_file)
            line: http.client.HTTPConnection = http.client.HTTPSConnection(
                server.host, server.port, timeout=server.timeout, context=trusted
            )
        else:
            line = http.client.HTTPConnection(server.host, server.port, timeout=server.timeout)
        try:
            line.connect()
        except ssl.SSLCertVerificationError as error:
            line.close()
            raise DeliveryError(
                f"{server.host}: {error}; nothing was sent: mend sender_url or sender_ca_file"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            line.close()
            raise SenderAway(f"{server.host}: {error}") from error
        self._line = line
        return line


def _body(answer: http.client.HTTPResponse, end: float) -> bytes:
    """All of an answer, if it comes in time and is of a size that one can have."""
    parts, size = list[bytes](), 0
    while part := answer.read1(_BLOCK):
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise http.client.HTTPException(f"an answer of more than {_MOST_BYTES} bytes")
        if time.monotonic() > end:
            raise TimeoutError("the answer did not end in time")
    if answer.length:
        raise http.client.IncompleteRead(b"".join(parts), answer.length)
    return b"".join(parts)
