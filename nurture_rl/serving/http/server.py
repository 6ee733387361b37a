"""The server's process: verify a bundle, then decide over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from array_api_compat import array_namespace

from nurture_envs.clock import require_zone
from nurture_envs.journey import Journey
from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle, load_served
from nurture_rl.serving.deciding.preload import load_once
from nurture_rl.serving.deciding.same_journeys import left_out, require_same_journeys
from nurture_rl.serving.deciding.server_settings import EVERYWHERE, ServerSettings, machine_clock
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.deciding.taking_over import take_over
from nurture_rl.serving.deciding.whose_clock import keep_to_clock, require_rehearsal
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.http.api_keys import ApiKeys, load_keys, require_keys_beyond_loopback
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.door import Door, Shares, write_line
from nurture_rl.serving.http.listening import Listener, bind
from nurture_rl.serving.http.regular_looks import RegularLooks
from nurture_rl.serving.policies.bundle_folder import BundleFolder, require_signers
from nurture_rl.serving.senders.known_senders import senders_of
from nurture_rl.serving.senders.sender_adapter import SenderAdapter
from nurture_rl.serving.storage.locating import shown_location
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable
from nurture_rl.serving.unsubscribing import checked_url
from nurture_rl.wording import counted

_REHEARSAL = "serve: simulated_clock lets requests say what time it is; this is a rehearsal"
# Seconds after which a thread that computes lets others go on. A request passes through several
# threads, and beside a long one it waits for each of them.
_TURN = 0.0005


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What is served, and where."""

    bundle: str | None = None  # folder of a bundle; null: the newest under `runs`
    runs: str = "runs"  # where the newest bundle is looked for
    # SQLite file, made if absent, or URL of a PostgreSQL database that several servers may share,
    # as in postgresql://user@host/database; null: store.db under `runs`.
    store: str | None = None
    host: str = "127.0.0.1"  # address or name to listen on
    port: int = 8321  # from 1 to 65535
    # Folder of checked tables whose contacts and events are known from the start; null: the tables
    # that the newest bundle learned from, or none if `bundle` is given.
    logs: str | None = None
    # Take up the episodes of `logs` that go on now: their bins count from where they began. Else a
    # first decision begins them anew.
    take_over: bool = False
    # IANA zone of contacts who have none; null: the one of the log behind the newest bundle, else
    # Europe/Berlin.
    default_zone: str | None = None
    # Hours by which such a contact's zone may be off, lowest and highest; anywhere on earth.
    unknown_zone_slack: tuple[int, int] = EVERYWHERE
    # Let requests say what time it is: for rehearsals, on this machine alone and in a store that
    # never lived by the machine's clock.
    simulated_clock: bool = False
    # File of API keys, on each line the scopes and the key, mode 0600; null: nobody needs a key, on
    # this machine alone.
    keys: str | None = None
    # Requests a second that each key (or each address without one) may send; null: no limit.
    max_rate: float | None = None
    log_requests: bool = False  # one line of JSON per request on standard output, without contacts
    # Folder of further bundles of the same journey, one folder each: they can be loaded, tried on a
    # share of contacts and promoted while the server runs; null: there are no others.
    bundles: str | None = None
    # File of public Ed25519 keys (PEM, one or more): every bundle must be signed by the owner of
    # one; null: none has to be.
    trust: str | None = None
    # How many different owners of these keys must have signed each bundle, >= 1; a journey's own
    # `signers` may ask for more.
    signers: int = 1
    # Folders of bundles of further journeys, one each: a contact is in one journey at a time; with
    # `bundles` further bundles of every journey can be loaded.
    journeys: tuple[str, ...] = ()
    # https address under which contacts reach this server: answers to sends then carry the headers
    # of one-click unsubscribe; null: they carry none.
    public_url: str | None = None
    # Folder of the keys by which senders of mail sign their webhooks, such as sendgrid.key; null:
    # no webhook is taken.
    webhook_keys: str | None = None
    # Folder of reports of the verb `lift`, one folder each, as it makes them under `runs`/lift: the
    # console shows the latest of each journey; null: it shows none.
    lift_reports: str | None = None


def serve_bundle(bundle_folder: Path, options: ServeOptions) -> None:
    """Serve a bundle until interrupted.

    Args:
        bundle_folder: the bundle.
        options: with `store` and `default_zone` given.

    Raises:
        NurtureError: the bundle, the store, the log, the keys or the address cannot be used.
        OSError: the disk refuses.
    """
    zone, location = str(options.default_zone), str(options.store)
    shown = shown_location(location)
    require_zone(zone)
    public_url = checked_url(options.public_url)
    trust = _path(options.trust)
    signers = require_signers(options.signers)
    bundle = load_served(bundle_folder, trust, signers)
    further = [load_served(Path(folder), trust, signers) for folder in options.journeys]
    others = BundleFolder.of(options.bundles, trust, signers)
    keys = None if options.keys is None else load_keys(Path(options.keys))
    senders = {} if options.webhook_keys is None else senders_of(Path(options.webhook_keys))
    try:
        with _bound(options, keys) as bound, closing(Store(location)) as store:
            journeys = [one.journey for one in (bundle, *further)]
            names = [one.name for one in journeys]
            require_same_journeys(store, names)
            if (warning := left_out(store, names, machine_clock())) is not None:
                print(f"serve: {warning}", file=sys.stderr, flush=True)
            if options.logs is not None:
                print(_loaded(store, journeys, Path(options.logs)), flush=True)
                if options.take_over:
                    now_us = machine_clock()
                    count = take_over(store, Path(options.logs), journeys, now_us, zone)
                    print(f"{counted(count, 'episode')} taken over", flush=True)
            store.when_lost(_stop)
            settings = ServerSettings(
                zone,
                options.simulated_clock,
                machine_clock,
                unknown_zone_slack=options.unknown_zone_slack,
                public_url=public_url,
            )
            keep_to_clock(store, options.simulated_clock)
            service = Service(bundle, store, settings, others, further)
            if options.simulated_clock:
                print(_REHEARSAL, file=sys.stderr, flush=True)
            for one in (bundle, *further) if trust is None else ():
                print(_unchecked(one), file=sys.stderr, flush=True)
            door = _behind_door(service, options, keys, senders)
            try:
                with RegularLooks(service):
                    asyncio.run(_serve(door, bound, _greeting(service, options)))
            finally:
                service.shadowing.finish()
            if store.lost:
                raise store.lost
    except StoreUnavailable as error:
        raise StoreError(f"{shown}: {error}") from error


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _bound(options: ServeOptions, keys: ApiKeys | None) -> socket.socket:
    bound = bind(options.host, options.port)
    try:
        require_keys_beyond_loopback(bound.getsockname()[0], keys)
        if options.simulated_clock:
            require_rehearsal(bound.getsockname()[0])
    except NurtureError:
        bound.close()
        raise
    return bound


def _behind_door(
    service: Service,
    options: ServeOptions,
    keys: ApiKeys | None,
    senders: Mapping[str, SenderAdapter],
) -> Door:
    reports = _path(options.lift_reports)
    app = create_app(service, keys=keys, senders=senders, lift_reports=reports)
    shares = None if options.max_rate is None else Shares.of(options.max_rate)
    return Door(app, service.metrics, shares, keys, write_line if options.log_requests else None)


def _loaded(store: Store, journeys: Sequence[Journey], logs: Path) -> str:
    loaded = load_once(store, logs, Forbidding.of_all(journeys))
    if loaded is None:
        return f"contacts and events of {logs} were loaded before"
    contacts, events = loaded
    return f"loaded {counted(contacts, 'contact')} and {counted(events, 'new event')} from {logs}"


def _greeting(service: Service, options: ServeOptions) -> str:
    first, *further = service.journeys
    roles = first.policies.lineup.roles
    text = (
        f"serving policy {roles.champion} of journey {first.name} on "
        f"http://{options.host}:{options.port} (OpenAPI at /schema), decisions into "
        f"{shown_location(str(options.store))}"
    )
    others = [
        f"{roles.role_of(name)} {name}" for name in sorted(roles.used) if name != roles.champion
    ]
    others += [] if roles.switch == "learned" else [f"the switch stands at {roles.switch}"]
    for one in further:
        beside = one.policies.lineup.roles
        others.append(f"policy {beside.champion} of journey {one.name}")
        if beside.switch != "learned":
            others.append(f"its switch stands at {beside.switch}")
    return "\n".join([*([f"beside it: {', '.join(others)}"] if others else []), text])


def _unchecked(bundle: Bundle) -> str:
    what = "has a signature that nobody checks" if bundle.signatures else "is not signed"
    return (
        f"serve: bundle {bundle.policy_id} {what}; give trust=FILE of a public key to ask for one"
    )


def _stop() -> None:
    """End this process as an operator would."""
    os.kill(os.getpid(), signal.SIGTERM)


def _quieten_garbage_collection() -> None:
    """Keep loaded objects out of later collections; this raises throughput by half."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


async def _serve(app: Door, bound: socket.socket, greeting: str) -> None:
    server = Listener(app, bound)
    loop = asyncio.get_running_loop()
    array_namespace(np.zeros(0))  # loads what the first decision would wait for
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    print(greeting, flush=True)
    _quieten_garbage_collection()
    sys.setswitchinterval(_TURN)
    await server.serve()
