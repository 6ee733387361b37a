"""Train every learner on logs of known truth, and tell what its policies are truly worth."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from experiments.common.progress import say
from experiments.learners.figures import write_figures
from experiments.learners.oracle import (
    Oracle,
    OracleConfig,
    held_oracle_of,
    oracle_of,
    standards_in,
)
from experiments.learners.study import (
    PROGRAMMES,
    Bench,
    data_region,
    record_path,
    recorded,
    records_in,
)
from experiments.learners.tables import report
from nurture_rl.errors import NurtureError
from nurture_rl.workflow.learners import LEARNERS

HERE = Path(__file__).parent
JOURNEYS = ("reference", "stalled_opportunity", "trial_onboarding", "re_engagement")


@dataclass
class Clock:
    """How much of the cells is done, and when the rest will be."""

    left: int  # cells that have no record yet
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def told(self) -> str:
        """Such as "[3 done, 21 left, about 14 min]"."""
        passed = time.monotonic() - self.began
        rest = f", about {passed / self.done * self.left / 60.0:.0f} min" if self.done else ""
        return f"[{self.done} done, {self.left} left{rest}]"

    def finished(self) -> None:
        """One more cell is done."""
        self.done, self.left = self.done + 1, self.left - 1


def main(arguments: list[str]) -> None:
    """Read the command line, work out what is not recorded yet, print tables and draw pictures."""
    given = _parsed(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            work_out(given)
    records, standards = records_in(given.out), standards_in(given.out)
    print(report(records, standards))
    write_figures(records, standards, given.figures)


def work_out(given: argparse.Namespace) -> None:
    """Oracles, then every cell that has no record yet."""
    oracles: dict[str, Oracle] = {}
    trained = OracleConfig()
    ppo = replace(trained.ppo, iterations=given.oracle_iterations)
    config = replace(trained, ppo=ppo, restarts=given.oracle_restarts)
    for data in given.data:
        journey, region = data_region(data, given.runs)
        told = partial(say, "[oracles]")
        oracles[data] = oracle_of(data, journey, config, given.out, told)
        if given.held_oracles:
            held_oracle_of(oracles[data], journey, region, config, given.out, told)
    waiting = [record_path(given.out, *cell) for cell in _cells(given, oracles)]
    clock = Clock(sum(not path.is_file() for path in waiting))
    for learner, bench in _cells(given, oracles):
        known = record_path(given.out, learner, bench).is_file()
        recorded(given.out, learner, bench, partial(say, clock.told()))
        if not known:
            clock.finished()


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    named = [*PROGRAMMES, *LEARNERS]
    parser.add_argument("--learners", nargs="*", default=named, metavar="NAME")
    parser.add_argument("--data", nargs="+", default=list(JOURNEYS), metavar="NAME")
    parser.add_argument("--contacts", type=int, nargs="+", default=[5000], help="in a log")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(3)))
    parser.add_argument("--oracle-iterations", type=int, default=OracleConfig().ppo.iterations)
    parser.add_argument("--oracle-restarts", type=int, default=OracleConfig().restarts)
    parser.add_argument("--held-oracles", action="store_true", help="in the trust region, too")
    parser.add_argument("--report", action="store_true", help="work out nothing, tell and draw")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--figures", type=Path, default=HERE, help="folder of pictures")
    parser.add_argument("--runs", type=Path, default=Path("runs/learners"), help="of the stages")
    return parser.parse_args(arguments)


def _cells(given: argparse.Namespace, oracles: dict[str, Oracle]) -> Iterator[tuple[str, Bench]]:
    """Every cell once, journeys innermost: what is run first is useful by itself."""
    played: set[Path] = set()
    for contacts, seed in itertools.product(given.contacts, given.seeds):
        benches = [Bench(data, contacts, seed, given.runs, oracles[data]) for data in given.data]
        for learner, bench in itertools.product(given.learners, benches):
            path = record_path(given.out, learner, bench)
            if path not in played:  # programmes are played once
                played.add(path)
                yield learner, bench


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"learners: {error}")
