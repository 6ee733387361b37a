"""Prices of limits held against the truth, over many logs."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from experiments.common.kept import Kept
from experiments.prices.study import LEVEL, Limits, one_run, true_prices

Json = dict[str, Any]


def main(arguments: list[str]) -> None:
    """Read the command line, do the runs that are missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, nargs="+", default=[5000, 50_000], help="of a log")
    parser.add_argument("--seeds", type=int, default=60, help="logs of each size")
    parser.add_argument("--kept", type=Path, default=Path("runs/prices"), help="finished runs")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    limits = Limits()
    fixed = Kept(given.kept, "prices", {}, _say)
    true = fixed.piece("truth", asdict(limits), lambda: true_prices(limits))
    for contacts in given.contacts:
        kept = Kept(given.kept, "prices", {"contacts": contacts}, _say)
        with threadpool_limits(1):
            runs = [
                kept.piece("run", {"seed": seed}, partial(one_run, seed, contacts, limits))
                for seed in range(given.seeds)
            ]
        print(_table(contacts, runs, limits, true))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(contacts: int, runs: list[Json], limits: Limits, true: Json) -> str:
    value = np.array([run["truth"]["value"] / true["best"] for run in runs])
    lines = [
        f"\n{contacts} contacts, {len(runs)} logs, level {LEVEL}",
        f"value, share of the best within the limits: mean {value.mean():.3f}, "
        f"lowest {value.min():.3f}, tenth lowest of a hundred {np.quantile(value, 0.1):.3f}",
    ]
    broken = np.zeros(len(runs), bool)
    for at, name in enumerate(("sends", "opt_outs")):
        most = getattr(limits, name)
        used = np.array([run["truth"][name] for run in runs])
        broken |= used > most
        prices = np.array([run["prices"][at] for run in runs])
        slope = true["slopes"][at]
        off = float(np.median(np.abs(prices / slope - 1.0)))
        lines.append(
            f"{name}: limit {most}, used {used.mean():.5f} (most {used.max():.5f}), "
            f"kept in {(used <= most).sum()}; price {prices.mean():.3f} ({prices.std():.3f}), "
            f"truth {slope:.3f}; median error of a price {off:.1%}"
        )
    lines.append(f"both limits kept in {(~broken).sum()} of {len(runs)}")
    for name in runs[0]["ranking"]:
        told = np.array([run["ranking"][name] for run in runs])
        lines.append(f"mailed by {name}: {told.mean():.4f} EUR a contact ({told.std():.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
