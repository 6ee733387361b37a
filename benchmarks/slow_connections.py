"""How long `GET /healthz` takes beside connections that are hardly used, and beside large batches.

python benchmarks/slow_connections.py

Each kind for itself: all connections begin to speak at once, wait, and are ended by the server at
once. For `batches`, eight clients each ask for decisions about 10,000 contacts in one request.
Another process asks for health all the while.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np

from nurture_rl.client import PolicyClient
from tests.pipeline.running_server import RunningServer, running
from tests.unit.release.bundles import small_bundle

_HEAD = b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\n"
_KINDS = {
    "silent": b"",
    "slow headers": _HEAD,
    "slow bodies": _HEAD + b"Content-Length: 100000\r\n\r\n{",
    "slow unsubscribe forms": b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nL",
    "slow webhooks": b"POST /v1/webhooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n[",
}
_BATCHES = "batches"
_CLIENTS, _BATCH = 8, 10_000
_PAUSE = 0.005  # seconds between two questions for health
_END = 17.0  # seconds after which the server has ended them


def main(arguments: list[str]) -> None:
    """Measure every kind, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    kinds = [*_KINDS, _BATCHES]
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    given = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        small_bundle(Path(folder) / "bundle")
        with running(Path(folder) / "bundle", Path(folder) / "store.db") as server:
            for kind in given.kinds:
                if kind == _BATCHES:
                    waits = _beside_batches(server)
                else:
                    waits = _beside(server, _KINDS[kind], given.connections)
                p50, p99, longest = np.percentile(waits, [50, 99, 100])
                print(f"| {kind} | {p50:.1f} | {p99:.1f} | {longest:.1f} |", flush=True)
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _beside(server: RunningServer, first: bytes, count: int) -> list[float]:
    """Milliseconds of each question for health while connections begin, wait and end."""
    port = int(server.url.rpartition(":")[2])
    with _asking(port) as asker:
        lines = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
        for line in lines:
            line.sendall(first)
        time.sleep(_END)
        asker.send("end")
        waits: list[float] = asker.recv()
        for line in lines:
            line.close()
    return waits


def _beside_batches(server: RunningServer) -> list[float]:
    """Milliseconds of each question for health while batches of other contacts are decided."""
    ids = [[f"{client}-{n}" for n in range(_BATCH)] for client in range(_CLIENTS)]
    client = PolicyClient(server.url, patience=120, timeout=60)
    for those in ids:
        client.put_contacts([{"contact_id": one, "consent": True} for one in those])
    port = int(server.url.rpartition(":")[2])
    with _asking(port) as asker, ThreadPoolExecutor(_CLIENTS) as clients:
        began = time.perf_counter()
        sizes = [len(answers) for answers in clients.map(client.decide, ids)]
        seconds = time.perf_counter() - began
        asker.send("end")
        waits: list[float] = asker.recv()
    if sizes != [_BATCH] * _CLIENTS:
        raise RuntimeError(f"wanted {_CLIENTS} times {_BATCH} decisions, got {sizes}")
    print(f"{sum(sizes)} decisions in {seconds:.1f} s", flush=True)
    return waits


@contextmanager
def _asking(port: int) -> Iterator[Connection]:
    """A process that asks for health until it is told to end, and then says how long it took."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_ask, args=(port, theirs))
    process.start()
    try:
        yield ours
    finally:
        process.join(timeout=30)


def _ask(port: int, told: Connection) -> None:
    waits = []
    while not told.poll(_PAUSE):
        began = time.perf_counter()
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        line.request("GET", "/healthz")
        if line.getresponse().status != 200:
            raise RuntimeError("the server does not call itself well")
        waits.append(1e3 * (time.perf_counter() - began))
        line.close()
    told.send(waits)


if __name__ == "__main__":
    main(sys.argv[1:])
