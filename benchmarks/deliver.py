"""Mail through a real Postfix with kills in between: how fast, and is anything lost or doubled?

python benchmarks/deliver.py --mails 10000 --kills 20

A policy server decides for everybody; `nurture deliver` confirms and sends each mail. The deliverer
and the mail server are killed in turn, at moments spread over the run. Then the ledger is held
against the mailboxes, and what is unknown is reconciled.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from tests.mail_server import DOMAIN, REFUSAL, postfix
from tests.pipeline.killed_deliveries import (
    Found,
    Victim,
    deliver_with_kills,
    looked_at,
    reconciled,
)
from tests.pipeline.running_server import running
from tests.unit.delivery.now_sends import (
    PUBLIC,
    decide,
    deliver_options,
    now_bundle,
    write_recipients,
    write_table,
    write_templates,
)

VICTIMS: tuple[Victim, ...] = ("deliverer", "mail server")


def main(arguments: list[str]) -> int:
    """Deliver, kill, look; returns 1 where something was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args(arguments)
    if REFUSAL is not None:
        print(REFUSAL)
        return 1
    victims = [VICTIMS[i % 2] for i in range(given.kills)]
    names = [f"lead{i}" for i in range(given.mails)]
    with tempfile.TemporaryDirectory() as place, postfix() as post:
        folder = Path(place)
        now_bundle(folder / "bundle")
        write_templates(folder / "templates")
        write_recipients(folder / "recipients.csv", names, DOMAIN)
        with running(folder / "bundle", folder / "store.db", PUBLIC) as server:
            table = write_table(folder / "decided.parquet", server, *decide(server, names))
            patient: dict[str, Any] = {
                "wait_minutes": 30,
                "window_minutes": 240,
                "retry_seconds": 0.2,
            }
            patient |= {"decided": str(table), "smtp_port": post.port}
            options = deliver_options(folder, server, **patient)
            seconds = deliver_with_kills(options, post, victims, random.Random(given.seed))
            first = looked_at(options, post)
            print(
                f"{given.mails:,} mails in {seconds:.0f} s ({given.mails / seconds:.0f} a second)"
            )
            print(f"after {given.kills} kills: {told(first)}")
            began = time.monotonic()
            reconciled(options, post)
            after = looked_at(options, post)
            print(f"reconciled in {time.monotonic() - began:.0f} s: {told(after)}")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    wrong = [one for found in (first, after) for one in (*found.lost, *found.doubled, *found.wrong)]
    return int(bool(wrong) or after.states != {"accepted": given.mails})


def told(found: Found) -> str:
    """The figures of one look."""
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(found.states.items()))
    bad = f"{len(found.lost)} lost, {len(found.doubled)} taken twice, {len(found.wrong)} wrong"
    return f"{states}; {bad}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
