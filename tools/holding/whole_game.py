"""Servers, clients and a last look at the limits that all share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

from tests.pipeline.running_server import running
from tests.postgres import PostgresServer, require_programs
from tests.unit.serving.signed_webhooks import key_folder, signing_key
from tools.holding.common_limits import Crowd, journey, write_journey_bundle
from tools.holding.limits_kept import overrun
from tools.holding.over_http import Client, contested

_REPORT_EVERY = 60.0  # seconds
_SOME, _MANY = 12, 120  # contacts of a client at a time
_PEOPLE_OF_AN_ACCOUNT = 60  # decisions for each account: their caps are full now and then


def played(
    folder: Path,
    decisions: int,
    clients: int,
    workers: int,
    seed: Sequence[int],
    scarce: bool = True,
    seconds: float = math.inf,
    tell: Callable[[str], None] = lambda text: None,
) -> Crowd:
    """Ask for so many decisions over HTTP; returns what was seen and where it parted.

    Args:
        folder: to make, for a bundle.
        decisions: to ask for.
        clients: senders at once.
        workers: servers on one PostgreSQL store.
        seed: of what the senders do.
        scarce: with limits that all contacts share, which makes servers take turns.
        seconds: after which nobody begins anything new.
        tell: hears every minute how far it is.
    """
    own, key = journey(scarce), signing_key()
    bundle = write_journey_bundle(folder / "bundle", own)
    database = PostgresServer(require_programs())
    options = [
        *("simulated_clock=true", "default_zone=UTC", "unknown_zone_slack=[-2,3]"),
        "public_url=https://mail.example.com",
        f"webhook_keys={key_folder(folder / 'keys', key)}",
    ]
    try:
        database.start()
        with ExitStack() as stack:
            url = database.fresh_url()
            servers = [stack.enter_context(running(bundle, url, *options)) for _ in range(workers)]
            servers[0].send("PUT", "/v1/contacts", {"contacts": contested()})
            accounts = max(4, decisions // _PEOPLE_OF_AN_ACCOUNT)
            urls = [one.url for one in servers]
            crowd = Crowd(urls, decisions, accounts, key, _SOME if scarce else _MANY)
            crowd.until = time.monotonic() + seconds
            senders = [Client(i, crowd, own, seed) for i in range(clients)]
            began = time.monotonic()
            with ThreadPoolExecutor(clients) as threads:
                playing = [threads.submit(sender.play) for sender in senders]
                while not all(one.done() for one in playing):
                    wait(playing, timeout=_REPORT_EVERY)
                    tell(f"{dict(crowd.counts)} in {time.monotonic() - began:.0f} s")
        crowd.parted += overrun(own, crowd)
        return crowd
    finally:
        database.stop()
