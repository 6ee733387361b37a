"""Hold decisions against an independent, slow reading of what may be done with a contact.

    python tools/hold_guardrails.py --decisions 10000000 --seed 0 --record held.jsonl
    python tools/hold_guardrails.py --http 1000000 --clients 64 --workers 2 --record held.jsonl

Both ways: nothing forbidden has any probability, nothing legal is withheld. The first decides for
random contacts in this process; the second asks real servers of one PostgreSQL store from many
clients at once, with clocks that jump, reports that come twice and in another order, and retries.
A record goes on where an earlier run of the same code and seed ended, and sums all runs up.
Ends with 1 where the two readings part, and tells where.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.unit.release.bundles import small_bundle
from tools.holding.in_process import Held, bundle_for, hold, journeys
from tools.holding.record import Record, code_here
from tools.holding.whole_game import played

_ROOT = Path(__file__).resolve().parents[1]
_ROUND = 5_000  # contacts of one journey, then the next one's turn
_STRETCH = 20  # rounds between two lines of the record
_SCARCE = 1_000  # decisions of one database, where contacts take turns; then a fresh one
_GAME = 10_000  # where they do not


def main() -> int:
    """Entry point of the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=0, help="in this process")
    parser.add_argument("--http", type=int, default=0, help="decisions asked of servers")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="file of JSON lines to go on with")
    parser.add_argument("--minutes", type=float, default=1e9, help="to begin nothing new after")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    parted: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hold-") as name:
        if given.decisions:
            parted += _in_process(Path(name), given)
        if given.http:
            parted += _over_http(Path(name), given)
    for text in parted[:5]:
        print(f"PARTED {text}")
    return int(bool(parted))


def _tell(text: str) -> None:
    print(text, flush=True)


def _in_process(folder: Path, given: Namespace) -> list[str]:
    small_bundle(folder / "any")
    bundles = [bundle_for(journey, folder / "any") for journey in journeys().values()]
    record = Record(given.record, "in process", given.seed, code_here(_ROOT))
    number, began, decided, parted = record.played(), time.monotonic(), 0, list[str]()
    while decided < given.decisions and not parted and _has_time(began, given.minutes):
        held, first = Held(), number
        while number < first + _STRETCH and not held.parted:
            some = min(_ROUND, given.decisions - decided - held.counts["decisions"])
            if some <= 0:
                break
            hold(bundles[number % len(bundles)], some, [given.seed, number], held)
            number += 1
        record.add(first, number, held.counts, len(held.parted))
        decided, parted = decided + held.counts["decisions"], held.parted
        spent = f"{time.process_time():.0f} s of processor"
        _tell(f"{dict(held.counts)}; {decided} decisions in {spent}")
    _tell(f"in all: {dict(record.total())}")
    return parted


def _over_http(folder: Path, given: Namespace) -> list[str]:
    record = Record(given.record, "over HTTP", given.seed, code_here(_ROOT))
    number, began, decided, parted = record.played(), time.monotonic(), 0, list[str]()
    while decided < given.http and not parted and _has_time(began, given.minutes):
        scarce = number % 2 == 1
        some = min(_SCARCE if scarce else _GAME, given.http - decided)
        played_in, seed = folder / f"game-{number}", [given.seed, number]
        left = 60.0 * given.minutes - (time.monotonic() - began)
        game = played(played_in, some, given.clients, given.workers, seed, scarce, left, _tell)
        record.add(number, number + 1, game.counts, len(game.parted))
        number += 1
        decided, parted = decided + game.counts["decisions"], game.parted
    _tell(f"in all: {dict(record.total())}")
    return parted


def _has_time(began: float, minutes: float) -> bool:
    return time.monotonic() - began < 60.0 * minutes


if __name__ == "__main__":
    raise SystemExit(main())
