"""How often reports of lift are wrong when they are read every day, and what that costs."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy import stats
from threadpoolctl import threadpool_limits

from experiments.common.progress import say
from experiments.lift.figures import draw_figures
from experiments.lift.programmes import DAYS, FIGURES, WINDOW, Reading, programme, read, truth
from nurture_rl.codec import read_record, write_record
from nurture_rl.ope.bounds.planned_looks import looks_width

HERE = Path(__file__).parent
EFFECTS = {
    "meetings": 0.35,
    "opt-outs": 1.5,
    "pipeline": 0.6,
    "meetings by account": 0.35,
    "days to a stage": 0.12,
}  # relative; each about three standard errors at the planned end
LEVEL = 0.95
LAST = DAYS + WINDOW  # the day on which all outcomes are in: the planned end
METHODS = ("planned looks", "normal mixture", "single read at the end", "1.96 every day")
_TUNED = 0.112  # of the mixture: narrowest at the planned end


@dataclass(frozen=True, slots=True)
class Row:
    """One key figure by one method."""

    figure: str
    method: str
    programmes: int  # without an effect
    false_positives: float  # share of programmes without effect that were ever called different
    power: float  # share with an effect that were called different by the planned end
    days: float  # mean day of that, the end for the others
    covered: float  # share with an effect whose truth is in the interval at every read
    width: float  # mean width at the planned end over that of a single read


def main(arguments: list[str]) -> None:
    """Simulate what is not recorded yet, print the table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programmes", type=int, default=2000)
    parser.add_argument("--powered", type=int, default=500, help="of them also with an effect")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "records")
    given = parser.parse_args(arguments)
    rows = []
    given.out.mkdir(parents=True, exist_ok=True)
    for number, figure in enumerate(FIGURES):
        path = given.out / f"{figure.replace(' ', '_')}-{given.programmes}.json"
        if not path.is_file():
            say(f"[{number + 1} of {len(FIGURES)}]", figure)
            write_record(_rows(figure, given), path)
        rows += read_record(path, list[Row])
    print(_table(rows))
    draw_figures(rows, HERE / "lift.png")


def _rows(figure: str, given: argparse.Namespace) -> list[Row]:
    programmes = given.programmes
    blocks = np.array_split(np.arange(programmes), 4 * given.jobs)
    work = partial(_block, figure, given.powered)
    parts = Parallel(given.jobs)(delayed(work)(block.tolist()) for block in blocks)
    wrong, right, days, covered, widths = (
        np.concatenate(p, axis=1) for p in zip(*parts, strict=True)
    )
    return [
        Row(
            figure,
            method,
            programmes,
            float(np.nanmean(wrong[m])),
            float(np.nanmean(right[m])),
            float(np.nanmean(days[m])),
            float(np.nanmean(covered[m])),
            float(np.nanmean(widths[m])),
        )
        for m, method in enumerate(METHODS)
    ]


def _block(figure: str, powered: int, numbers: list[int]) -> tuple[np.ndarray, ...]:
    """Of each programme by method: called wrongly, called rightly, on which day, covered, width."""
    out = [np.full((len(METHODS), len(numbers)), np.nan) for _ in range(5)]
    place = FIGURES.index(figure)
    with threadpool_limits(1):
        for column, number in enumerate(numbers):
            for effect in (0.0, EFFECTS[figure])[: 2 if number < powered else 1]:
                rng = np.random.default_rng([place, number, int(effect > 0.0)])
                one = programme(figure, effect, rng)
                reads = [(day, read(one, day)) for day in range(WINDOW + 3, LAST + 1)]
                _score(reads, truth(figure, effect), effect > 0.0, column, out)
    return tuple(out)


def _score(
    reads: list[tuple[int, Reading]], true: float, planted: bool, column: int, out: list[np.ndarray]
) -> None:
    difference = np.array([one.found.difference for _, one in reads])
    error = np.array([one.found.stderr for _, one in reads])
    share = np.array([one.information for _, one in reads])
    day = np.array([day for day, _ in reads])
    for m, widths in enumerate(_widths(share, day)):
        half = np.full(len(day), np.inf)  # nobody had an event yet, or the method says nothing yet
        known = np.isfinite(widths) & (error > 0.0)
        half[known] = widths[known] * error[known]
        called = np.abs(difference) > half
        if not planted:
            out[0][m, column] = called.any()
            continue
        first = int(np.argmax(called)) if called.any() else len(day) - 1
        out[1][m, column] = called.any()
        out[2][m, column] = day[first]
        out[3][m, column] = (np.abs(difference - true) <= half).all()
        out[4][m, column] = half[-1] / (error[-1] * stats.norm.isf((1.0 - LEVEL) / 2.0))


def _widths(share: np.ndarray, day: np.ndarray) -> list[np.ndarray]:
    """Half widths in standard errors on every day, by method."""
    fixed = float(stats.norm.isf((1.0 - LEVEL) / 2.0))
    t = np.minimum(share, 1.0)
    mixture = np.sqrt(
        (t + _TUNED) / t * (np.log((t + _TUNED) / _TUNED) - 2.0 * np.log(1.0 - LEVEL))
    )
    return [
        np.array([looks_width(x, LEVEL) for x in t]),
        mixture,
        np.where(day == LAST, fixed, np.inf),
        np.full(len(day), fixed),
    ]


def _table(rows: list[Row]) -> str:
    head = "| key figure | method | false positives | power | mean day | always covered | width |"
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- |"]
    for one in rows:
        shares = f"{one.false_positives:.1%} | {one.power:.0%} | {one.days:.0f}"
        lines.append(
            f"| {one.figure} | {one.method} | {shares} | {one.covered:.1%} | {one.width:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
