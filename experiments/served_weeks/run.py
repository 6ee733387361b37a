"""How often the lift that a served experiment reports holds the true one."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from joblib import Parallel, delayed

from experiments.common.progress import say
from experiments.served_weeks.figures import draw_intervals
from experiments.served_weeks.programme import WORLDS, served_journey, write_served
from experiments.served_weeks.scoring import checks_table, coverage_table, roles_table, scored
from experiments.served_weeks.served import Run, run
from experiments.served_weeks.truth import Truth, truths
from nurture_rl.logs.atomic import atomic_write_bytes

HERE = Path(__file__).parent


def main(arguments: list[str]) -> None:
    """Play what is not recorded yet, then print the tables and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="of each world")
    parser.add_argument("--over-http", type=int, default=10, help="every so many also over HTTP")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="of what is recorded, and no more")
    parser.add_argument("--out", type=Path, default=HERE / "records")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    known = [one for world in WORLDS for one in _truths(world, given.out)]
    todo = [
        (world, number)
        for number, world in product(range(0 if given.tables else given.runs), WORLDS)
        if not _record(given.out, world, number).is_file()
    ]
    work = Parallel(given.jobs, return_as="generator_unordered")
    done = work(delayed(_play)(w, number, number % given.over_http == 0) for w, number in todo)
    for place, one in enumerate(done, start=1):
        told = (
            f"{one.world} {one.number}: {one.seconds} s, over HTTP the same: {one.same_over_http}"
        )
        say(f"[{place} of {len(todo)}]", told)
        atomic_write_bytes(_record(given.out, one.world, one.number), msgspec.json.encode(one))
    runs = list(_recorded(given.out))
    scores = scored(runs, known)
    print(roles_table(scores), coverage_table(scores), checks_table(runs), sep="\n\n")
    draw_intervals(runs, known, HERE / "intervals.png")


def _play(world: str, number: int, is_over_http: bool) -> Run:
    logging.getLogger("nurture_rl").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder:
        return run(world, number, is_over_http, Path(folder))


def _record(out: Path, world: str, number: int) -> Path:
    return out / f"{world}-{number:03d}.json"


def _recorded(out: Path) -> Iterator[Run]:
    for world in WORLDS:
        for path in sorted(out.glob(f"{world}-[0-9]*.json")):
            yield msgspec.json.decode(path.read_bytes(), type=Run)


def _truths(world: str, out: Path) -> list[Truth]:
    path = out / f"truth-{world}.json"
    if not path.is_file():
        say("[truth]", world)
        with TemporaryDirectory() as folder:
            bundle = write_served(Path(folder) / "bundle", served_journey(world))
            atomic_write_bytes(
                path, msgspec.json.format(msgspec.json.encode(truths(world, bundle)))
            )
    return msgspec.json.decode(path.read_bytes(), type=list[Truth])


if __name__ == "__main__":
    main(sys.argv[1:])
