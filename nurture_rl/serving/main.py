"""`nurture-serve BUNDLE --store PATH --port N`: verify a bundle, then decide over HTTP."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sqlite3
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from litestar import Litestar

from nurture_envs.clock import require_zone
from nurture_envs.errors import NurtureError
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.app import create_app
from nurture_rl.serving.listening import Listener, bind
from nurture_rl.serving.preload import load_once
from nurture_rl.serving.service import EVERYWHERE, ServerSettings, Service
from nurture_rl.serving.store import Store
from nurture_rl.wording import counted

REFUSED = 2  # exit code when the bundle, the store or the log cannot be used


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a bundle until interrupted; returns the exit code."""
    given = _parser().parse_args(argv)
    try:
        require_zone(given.default_zone)
        bundle = load_bundle(given.bundle)
        with bind(given.host, given.port) as bound, closing(Store(given.store)) as store:
            if given.logs is not None:
                print(_loaded(store, given.logs), flush=True)
            store.when_lost(_stop)
            app = create_app(Service(bundle, store, _settings(given)))
            asyncio.run(_serve(app, bound, _greeting(bundle, given)))
            if store.lost:
                raise store.lost
    except (NurtureError, OSError, sqlite3.Error) as error:
        print(f"nurture-serve: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="nurture-serve", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--store", type=Path, required=True, help="SQLite file, made if absent")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen on")
    parser.add_argument("--logs", type=Path, help="ingested log whose contacts and events to load")
    parser.add_argument(
        "--default-zone", default="Europe/Berlin", help="zone of contacts who have none"
    )
    parser.add_argument(
        "--unknown-zone-slack",
        type=int,
        nargs=2,
        default=EVERYWHERE,
        metavar=("LOW", "HIGH"),
        help="hours by which such a contact's zone may be off; unsaid: anywhere on earth",
    )
    parser.add_argument(
        "--simulated-clock", action="store_true", help="let requests say what time it is"
    )
    return parser


def _loaded(store: Store, logs: Path) -> str:
    found = load_once(store, logs)
    if found is None:
        return f"contacts and events of {logs} were loaded before"
    contacts, events = found
    return f"loaded {counted(contacts, 'contact')} and {counted(events, 'new event')} from {logs}"


def _greeting(bundle: Bundle, given: Namespace) -> str:
    return (
        f"serving policy {bundle.policy_id} of journey {bundle.journey.name} on "
        f"http://{given.host}:{given.port} (OpenAPI at /schema), decisions into {given.store}"
    )


def _settings(given: Namespace) -> ServerSettings:
    low, high = given.unknown_zone_slack
    return ServerSettings(
        given.default_zone,
        given.simulated_clock,
        _microseconds_now,
        unknown_zone_slack=(low, high),
    )


def _stop() -> None:
    """End this process as an operator would."""
    os.kill(os.getpid(), signal.SIGTERM)


def _microseconds_now() -> int:
    return time.time_ns() // 1000


def _quieten_garbage_collection() -> None:
    """Leave what is loaded out of every later collection: half again the throughput."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


async def _serve(app: Litestar, bound: socket.socket, greeting: str) -> None:
    server = Listener(app, bound)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    print(greeting, flush=True)
    _quieten_garbage_collection()
    await server.serve()


if __name__ == "__main__":
    raise SystemExit(main())
