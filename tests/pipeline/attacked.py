"""A real server with keys and two bundles, and what a stranger sends it, byte by byte."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nurture_rl.release.bundle import write_bundle
from nurture_rl.serving.http.api_keys import SCOPES
from tests.pipeline.running_server import RunningServer, running
from tests.unit.release.bundles import COMPOSITION, CREATED, content

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AttackedServer:
    """A server and a key of each scope."""

    server: RunningServer
    keys: Mapping[str, str]

    @property
    def port(self) -> int:
        """Where it listens, on this machine."""
        return int(self.server.url.rpartition(":")[2])

    def ask(self, method: str, path: str, body: Any = None, scope: str | None = None) -> Answer:
        """Send a request, with the key of a scope; bytes go as they are, all else as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if scope is None else {"Authorization": f"Bearer {self.keys[scope]}"}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            line.request(method, path, data, headers)
            answer = line.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, answer.read().decode(), found)
        finally:
            line.close()

    def connect(self) -> socket.socket:
        """A connection that has sent nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def raw(self, data: bytes) -> bytes:
        """The answer to bytes that need not be a request; empty where the server hangs up."""
        with self.connect() as line:
            try:
                line.sendall(data)
                return received(line)
            except (ConnectionResetError, BrokenPipeError):  # it hung up before all was sent
                return b""

    def figure(self, pattern: str) -> float:
        """The sum of the server's figures whose line has the pattern."""
        lines = self.ask("GET", "/metrics", scope="metrics").text.splitlines()
        return sum(float(one.rpartition(" ")[2]) for one in lines if re.search(pattern, one))


def received(line: socket.socket) -> bytes:
    """One whole answer, or what came until the server hung up."""
    found = b""
    while part := line.recv(65_536):
        found += part
        head, end, rest = found.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and length is not None and len(rest) >= int(length[1]):
            break
    return found


@contextmanager
def attacked(folder: Path) -> Iterator[AttackedServer]:
    """Start one, and end it afterwards."""
    for name, share in (("first", 0.5), ("second", 0.25)):
        write_bundle(folder / "all" / name, content({**COMPOSITION, "share": share}), CREATED)
    keys = {scope: secrets.token_urlsafe(32) for scope in SCOPES}
    file = folder / "keys"
    file.touch(mode=0o600)
    file.write_text("".join(f"{scope} {key}\n" for scope, key in keys.items()), "utf-8")
    options = [f"bundles={folder / 'all'}", f"keys={file}", "public_url=https://policy.example"]
    with running(folder / "all" / "first", folder / "store.db", *options) as server:
        yield AttackedServer(server, keys)
