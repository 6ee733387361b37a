"""Hold decisions against an independent, slow reading of what may be done with a contact.

    python tools/hold_guardrails.py --decisions 10000000 --seed 0
    python tools/hold_guardrails.py --http 1000000 --clients 64 --workers 2 --seed 0

Both ways: nothing forbidden has any probability, nothing legal is withheld. The first decides for
random contacts in this process; the second asks real servers of one PostgreSQL store from many
clients at once, with clocks that jump, reports that come twice and in another order, and retries.
Ends with 1 where the two readings part, and tells where.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.unit.release.bundles import small_bundle
from tools.holding.in_process import Held, bundle_for, hold, journeys
from tools.holding.whole_game import played

_ROUND = 5_000  # contacts of one journey, then the next one's turn
_REPORT_EVERY = 60.0  # seconds


def main() -> int:
    """Entry point of the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=0, help="in this process")
    parser.add_argument("--http", type=int, default=0, help="decisions asked of servers")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="hold-") as name:
        folder = Path(name) / "bundle"
        small_bundle(folder)
        held = Held()
        if given.decisions:
            _in_process(folder, given.decisions, given.seed, held)
        if given.http:
            held.parted += played(
                Path(name) / "own", given.http, given.clients, given.workers, given.seed, _tell
            )
    for text in held.parted[:5]:
        print(f"PARTED {text}")
    return int(bool(held.parted))


def _tell(text: str) -> None:
    print(text, flush=True)


def _in_process(folder: Path, decisions: int, seed: int, held: Held) -> None:
    bundles = [bundle_for(journey, folder) for journey in journeys().values()]
    number, told, began = 0, 0.0, time.process_time()
    while held.counts["decisions"] < decisions and not held.parted:
        bundle = bundles[number % len(bundles)]
        some = min(_ROUND, decisions - held.counts["decisions"])
        hold(bundle, some, [seed, number], held)
        number += 1
        spent = time.process_time() - began
        if spent > told + _REPORT_EVERY or held.counts["decisions"] >= decisions:
            told = spent
            print(f"{dict(held.counts)} in {spent:.0f} s of processor", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
