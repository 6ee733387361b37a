"""The server's process: verify a bundle, then decide over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from litestar import Litestar

from nurture_envs.clock import require_zone
from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.api_keys import ApiKeys, load_keys, require_keys_beyond_loopback
from nurture_rl.serving.app import create_app
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.listening import Listener, bind
from nurture_rl.serving.opening import StoreError
from nurture_rl.serving.preload import load_once
from nurture_rl.serving.service import EVERYWHERE, ServerSettings, Service
from nurture_rl.serving.store import Store
from nurture_rl.serving.unsubscribing import checked_url
from nurture_rl.wording import counted


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What is served, and where."""

    bundle: str | None = None  # folder of a bundle; null: the newest under `runs`
    runs: str = "runs"  # where the newest bundle is looked for
    store: str | None = None  # SQLite file, made if absent; null: store.db under `runs`
    host: str = "127.0.0.1"  # address or name to listen on
    port: int = 8321  # from 1 to 65535
    # Folder of checked tables whose contacts and events are known from the start; null: the tables
    # that the newest bundle learned from, or none if `bundle` is given.
    logs: str | None = None
    # IANA zone of contacts who have none; null: the one of the log behind the newest bundle, else
    # Europe/Berlin.
    default_zone: str | None = None
    # Hours by which such a contact's zone may be off, lowest and highest; anywhere on earth.
    unknown_zone_slack: tuple[int, int] = EVERYWHERE
    simulated_clock: bool = False  # let requests say what time it is
    # File of API keys, on each line the scopes and the key, mode 0600; null: nobody needs a key, on
    # this machine alone.
    keys: str | None = None
    # https address under which contacts reach this server: answers to sends then carry the headers
    # of one-click unsubscribe; null: they carry none.
    public_url: str | None = None


def serve_bundle(bundle_folder: Path, options: ServeOptions) -> None:
    """Serve a bundle until interrupted.

    Args:
        bundle_folder: the bundle.
        options: with `store` and `default_zone` given.

    Raises:
        NurtureError: the bundle, the store, the log, the keys or the address cannot be used.
        OSError: the disk refuses.
    """
    zone, store_file = str(options.default_zone), Path(str(options.store))
    require_zone(zone)
    public_url = checked_url(options.public_url)
    bundle = load_bundle(bundle_folder)
    keys = None if options.keys is None else load_keys(Path(options.keys))
    try:
        with _bound(options, keys) as bound, closing(Store(store_file)) as store:
            if options.logs is not None:
                print(_loaded(store, bundle, Path(options.logs)), flush=True)
            store.when_lost(_stop)
            settings = ServerSettings(
                zone,
                options.simulated_clock,
                _microseconds_now,
                unknown_zone_slack=options.unknown_zone_slack,
                public_url=public_url,
            )
            app = create_app(Service(bundle, store, settings), keys=keys)
            asyncio.run(_serve(app, bound, _greeting(bundle, options)))
            if store.lost:
                raise store.lost
    except sqlite3.Error as error:
        raise StoreError(f"{store_file}: {error}") from error


def _bound(options: ServeOptions, keys: ApiKeys | None) -> socket.socket:
    bound = bind(options.host, options.port)
    try:
        require_keys_beyond_loopback(bound.getsockname()[0], keys)
    except NurtureError:
        bound.close()
        raise
    return bound


def _loaded(store: Store, bundle: Bundle, logs: Path) -> str:
    loaded = load_once(store, logs, Forbidding.of(bundle.journey))
    if loaded is None:
        return f"contacts and events of {logs} were loaded before"
    contacts, events = loaded
    return f"loaded {counted(contacts, 'contact')} and {counted(events, 'new event')} from {logs}"


def _greeting(bundle: Bundle, options: ServeOptions) -> str:
    return (
        f"serving policy {bundle.policy_id} of journey {bundle.journey.name} on "
        f"http://{options.host}:{options.port} (OpenAPI at /schema), decisions into {options.store}"
    )


def _stop() -> None:
    """End this process as an operator would."""
    os.kill(os.getpid(), signal.SIGTERM)


def _microseconds_now() -> int:
    return time.time_ns() // 1000


def _quieten_garbage_collection() -> None:
    """Keep loaded objects out of later collections; this raises throughput by half."""
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
