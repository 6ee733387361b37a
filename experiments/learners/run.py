"""Train every learner on logs of known truth, and tell what its policies are truly worth."""

from __future__ import annotations

import argparse
import itertools
import sys
from functools import partial
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from experiments.common.progress import say
from experiments.learners.study import PROGRAMS, recorded, records_in
from experiments.learners.tables import report
from nurture_rl.errors import NurtureError
from nurture_rl.workflow.learners import LEARNERS

RECORDS = Path(__file__).with_name("records")


def main(arguments: list[str]) -> None:
    """Read the command line, work out what is not recorded yet, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", nargs="+", default=[*PROGRAMS, *LEARNERS], metavar="NAME")
    parser.add_argument("--data", nargs="+", default=["reference"], metavar="NAME")
    parser.add_argument("--contacts", type=int, nargs="+", default=[5000])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(3)))
    parser.add_argument("--played", type=int, default=20_000, help="contacts in the true world")
    parser.add_argument("--out", type=Path, default=RECORDS, help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/learners"), help="of the stages")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cells = list(itertools.product(given.data, given.contacts, given.seeds, given.learners))
    with threadpool_limits(1):
        for place, (data, contacts, seed, learner) in enumerate(cells, 1):
            if learner in PROGRAMS and seed != given.seeds[0]:
                continue  # no log changes them
            told = partial(say, f"[{place} of {len(cells)}]")
            recorded(given.out, (learner, data, contacts, seed), given.runs, given.played, told)
    print(report(records_in(given.out)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"learners: {error}")
