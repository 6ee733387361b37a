"""Hunt for an answer that says send after an acknowledged signal that forbids mail.

    python tools/fuzz_server.py --operations 1000000 --seed 0
    python tools/fuzz_server.py --operations 20000 --process

The first calls the application as its HTTP server does; the second starts real servers and kills
them. Ends with 1 where the promise is broken, and with the shortest story that breaks it; one seed
always tells one story. The store lies in memory where the machine lets it.
"""

from __future__ import annotations

import itertools
import logging
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.fuzzing.hunt import Judge, play, smallest, told
from tools.fuzzing.servers import InProcess, Process, Server, known_luck, write_bundles
from tools.fuzzing.steps import Story

_MEMORY = Path("/dev/shm")
_REPORT_EVERY = 50_000  # operations


def main() -> int:
    """Entry point of the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--process", action="store_true", help="real servers over HTTP")
    parser.add_argument("--mail-only", action="store_true", help="let other failures pass")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the server warns of every decision that it takes back
    place = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=place) as name, known_luck(given.seed):
        folder = Path(name)
        bundles = write_bundles(folder)
        numbers = itertools.count()

        def fresh() -> Server:
            store = folder / f"store-{next(numbers)}.db"
            return Process(bundles, store) if given.process else InProcess(bundles, store)

        judge, steps = Judge(mail_only=given.mail_only), Story(given.seed).steps()
        server, played, began, breach = fresh(), [], time.perf_counter(), None
        while breach is None and judge.counts["operations"] < given.operations:
            aim = min(given.operations, judge.counts["operations"] + _REPORT_EVERY)
            breach, part = play(server, steps, judge, aim)
            played += part
            _report(judge, time.perf_counter() - began)
        if breach is None:
            print("nothing found")
            return 0
        print(f"BROKEN after {len(played)} steps, person {breach.person}: {breach.text}")
        print(told(smallest(played, breach, fresh, given.mail_only)))
        return 1


def _report(judge: Judge, seconds: float) -> None:
    counts = judge.counts
    share = counts["sends"] / max(1, counts["other answers"])
    rate = counts["operations"] / seconds
    print(f"{dict(counts)}; {share:.1%} of other answers send; {rate:,.0f} a second", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
