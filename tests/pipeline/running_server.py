"""The real server as a process of its own, and plain requests to it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A process that answers at an address."""

    process: subprocess.Popen[str]
    url: str

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer of a request; raises where the server is gone."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(
    bundle: Path, store: Path | str, *options: str, stderr: IO[str] | None = None
) -> Iterator[RunningServer]:
    """Start the server on a free port and wait until it is ready; ends it afterwards.

    What it writes on standard error goes to a file, if one is given.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "nurture_rl.cli", "serve", f"bundle={bundle}"]
    command += [f"store={store}", f"port={port}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        server = RunningServer(process, f"http://127.0.0.1:{port}")
        try:
            _await_health(server)
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=20)


def _await_health(server: RunningServer) -> None:
    for _ in range(1200):
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with code {server.process.returncode}")
        try:
            server.send("GET", "/healthz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not become ready within a minute")
