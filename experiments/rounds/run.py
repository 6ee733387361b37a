"""How far a programme comes in rounds with a gate each, beside the same contacts as one log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from experiments.rounds.cell import ARMS, CELLS, CellRecord, worked_out
from experiments.rounds.picture import value_by_round
from experiments.rounds.shipped import FILE, shipped
from experiments.rounds.tables import report
from nurture_rl.codec import read_record
from nurture_rl.logs.atomic import atomic_write_bytes

HERE = Path(__file__).parent


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet, then tell and draw what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--data", nargs="+", metavar="NAME", help="worlds; default: all")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--report", action="store_true", help="work out nothing")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/rounds"), help="of the stages")
    given = parser.parse_args(arguments)
    if not given.report:
        torch.set_num_threads(1)
        cells = [
            (data, arm, seed)
            for seed in given.seeds
            for data, arm in CELLS
            if arm in given.arms and data in (given.data or [data])
        ]
        with threadpool_limits(1):
            for data, arm, seed in cells:
                worked_out(given.out, given.runs, data, arm, seed)
    found = [read_record(one, CellRecord) for one in sorted(given.out.glob("*.json"))]
    print(report(found))
    value_by_round(found, HERE / "value-by-round.png")
    atomic_write_bytes(FILE, shipped(found).encode("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
