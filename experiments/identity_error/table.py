"""Table and picture of what mixed-up people cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as student

from experiments.common.intervals import LEVEL
from experiments.common.markdown import markdown_table
from experiments.common.png import png

if TYPE_CHECKING:
    from experiments.identity_error.run import ErrorRecord

_COLOURS = {"split": "tab:blue", "merged": "tab:red"}
_WORDS = {"none": "nobody", "split": "taken for two", "merged": "two taken for one"}


def value_table(records: Sequence[ErrorRecord]) -> str:
    """Value and bias by kind and share of mistakes: means over seeds with their intervals.

    Changes are paired: each log less the same log without mistakes.
    """
    heads = ["mistaken", "share", "logs", "truth, EUR a lead", "truth, change"]
    heads += ["gain by the log less the true gain", "this, change", "logged value, change"]
    return markdown_table(heads, _rows(records))


def value_picture(records: Sequence[ErrorRecord]) -> bytes:
    """What mistakes change in truth, in what the log says of it, and in what it says was earned."""
    return png("identity error", 3.4, lambda figure: _paint(figure, records))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of independent values and half the width of its t interval; NaN of a single one."""
    found = np.asarray(values, float)
    if found.size < 2:
        return (float(found.mean()) if found.size else float("nan")), float("nan")
    wide = student.ppf(0.5 + LEVEL / 2, found.size - 1) * found.std(ddof=1) / np.sqrt(found.size)
    return float(found.mean()), float(wide)


def _rows(records: Sequence[ErrorRecord]) -> Iterator[list[str]]:
    for cell in _cells(records):
        some = [one for one in records if (one.how, one.share) == cell]
        yield [
            _WORDS[cell[0]],
            f"{cell[1]:.0%}".replace("%", " %"),
            str(len(some)),
            _told(interval([one.truth for one in some]), ""),
            _told(interval(changes(records, cell, _truth)), "+"),
            _told(interval([_bias(one) for one in some]), "+"),
            _told(interval(changes(records, cell, _bias)), "+"),
            _told(interval(changes(records, cell, _logged)), "+"),
        ]


def changes(
    records: Sequence[ErrorRecord], cell: tuple[str, float], of: Callable[[ErrorRecord], float]
) -> list[float]:
    """What mistakes change in each log.

    Args:
        records: of all cells.
        cell: kind and share of the mistakes.
        of: the number that is compared.
    """
    plain = {one.seed: of(one) for one in records if one.how == "none"}
    return [
        of(one) - plain[one.seed]
        for one in records
        if (one.how, one.share) == cell and one.seed in plain
    ]


def _cells(records: Sequence[ErrorRecord]) -> list[tuple[str, float]]:
    found = {(one.how, one.share) for one in records}
    return sorted(found, key=lambda cell: (list(_WORDS).index(cell[0]), cell[1]))


def _told(found: tuple[float, float], sign: str) -> str:
    return f"{found[0]:{sign}.1f} ± {found[1]:.1f}"


def _paint(figure: Figure, records: Sequence[ErrorRecord]) -> None:
    panels = figure.subplots(1, 3)
    told = (
        (_truth, "true value, change, EUR a lead"),
        (_bias, "gain by the log less true gain, change"),
        (_logged, "logged value, change, EUR a lead"),
    )
    for how, colour in _COLOURS.items():
        cells = [cell for cell in _cells(records) if cell[0] in ("none", how)]
        shift = -0.2 if how == "split" else 0.2
        shares = [100 * share + shift for _, share in cells]
        for axes, (of, label) in zip(panels, told, strict=True):
            found = [interval(changes(records, cell, of)) for cell in cells]
            means, reach = zip(*found, strict=True)
            axes.errorbar(
                shares, means, yerr=reach, fmt="o-", color=colour, markersize=3, label=_WORDS[how]
            )
            axes.set_title(label, fontsize=9)
    for axes in panels:
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.set_xlabel("people who are mistaken, %")
    panels[0].legend(frameon=False)


def _truth(one: ErrorRecord) -> float:
    return one.truth


def _bias(one: ErrorRecord) -> float:
    return one.difference - one.over_drip


def _logged(one: ErrorRecord) -> float:
    return one.logged
