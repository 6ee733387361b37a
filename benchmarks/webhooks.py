"""How fast a server takes webhooks: `python benchmarks/webhooks.py [EVENTS] [REQUESTS]`.

Starts the server with a small bundle and a SQLite store, posts requests of so many signed SendGrid
events each, one after the other, for 20,000 contacts, and prints seconds per request.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.pipeline.running_server import running
from tests.pipeline.test_webhook_server import post
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.signed_webhooks import body_of, key_folder, row, signing_key

_CONTACTS = 20_000
_KINDS = ("processed", "delivered", "open", "click", "unsubscribe")


def main(events: int, requests: int) -> None:
    """Post and print."""
    key, now = signing_key(), int(time.time())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_bundle(folder / "bundle")
        keys = f"webhook_keys={key_folder(folder / 'keys', key)}"
        with running(folder / "bundle", folder / "store.db", keys) as server:
            for start in range(0, _CONTACTS, 10_000):
                people = [
                    {"contact_id": f"c-{i}", "consent": True} for i in range(start, start + 10_000)
                ]
                server.send("PUT", "/v1/contacts", {"contacts": people})
            for what in ("new", "sent again"):
                seconds = []
                for number in range(requests):
                    places = range(number * events, (number + 1) * events)
                    kinds = [(i, _KINDS[i % len(_KINDS)]) for i in places]
                    rows = [row(k, i, now, contact_id=f"c-{i % _CONTACTS}") for i, k in kinds]
                    body = body_of(rows)
                    began = time.perf_counter()
                    out = post(server, key, body)
                    seconds.append(time.perf_counter() - began)
                    assert out["stored"] + out["repeated"] == events, out["rejected"][:3]
                print(
                    f"{events} events, {what}: median {median(seconds):.3f} s, "
                    f"slowest {max(seconds):.3f} s of {requests} requests"
                )


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], "1000", "20"][:2]))
