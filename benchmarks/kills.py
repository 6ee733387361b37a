"""Kills of servers and of their PostgreSQL database in mid-load: is anything lost or doubled?

python benchmarks/kills.py --rounds 50

Two servers share a store. Eight clients ask for decisions and report events, each again until it
is acknowledged. Each round ends one server or the whole database by SIGKILL at a random moment,
starts it again, and holds the store against what was acknowledged and the chain against the head
of the round before.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from tests.pipeline.killed_servers import VICTIMS, killed_servers
from tests.postgres import PostgresServer, require_programs
from tests.unit.release.bundles import small_bundle


def main(arguments: list[str]) -> int:
    """Kill, look, print a line a round; returns 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of victims and moments")
    given = parser.parse_args(arguments)
    luck, killed, acknowledged, wrong = random.Random(given.seed), Counter[str](), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        database = PostgresServer(require_programs(), durable=True)
        try:
            database.start()
            small_bundle(Path(folder) / "bundle")
            with killed_servers(database, Path(folder) / "bundle") as servers:
                for number in range(given.rounds):
                    victim, pause = luck.choice(VICTIMS), luck.uniform(0.1, 1.5)
                    found = servers.round(number, victim, pause)
                    bad = [*found.lost, *found.doubled, *found.broken]
                    killed[victim] += 1
                    acknowledged += found.acknowledged
                    wrong += len(bad)
                    said = f"{found.acknowledged} acknowledged, {found.after} after"
                    print(f"{number}: {victim} after {pause:.2f} s, {said}, wrong: {bad[:5]}")
                    sys.stdout.flush()
        finally:
            database.stop()
    told = ", ".join(f"{times} of the {victim}" for victim, times in sorted(killed.items()))
    print(f"\n{told}; {acknowledged:,} acknowledged, {wrong} lost, doubled or broken")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
