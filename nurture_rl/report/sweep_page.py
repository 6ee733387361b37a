"""The runs of a sweep as a table and a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure

from nurture_rl.report.drawing import BLUE, ORANGE, VERMILION, draw
from nurture_rl.report.markdown import grid
from nurture_rl.report.tables import Table

PAGE, PICTURE = "sweep.md", "sweep.svg"
_NONE = "—"
_WARNING = (
    "Each bound holds for its own run alone. The best of many is flattered by its luck on the "
    "held-out contacts, and its bound with it: before it is believed, judge that run again by "
    "contacts that no run of the sweep was judged by."
)


@dataclass(frozen=True, slots=True)
class SweptRun:
    """One run of a sweep."""

    number: int
    overrides: tuple[str, ...]  # its own settings, as typed
    status: str  # finished, withheld or failed
    objective: float | None  # None unless it is finished and has one
    reason: str  # what the objective is, or why there is none
    seconds: float


def write_sweep_page(folder: Path, title: str, runs: Sequence[SweptRun]) -> Path:
    """Write `sweep.md`, and `sweep.svg` where runs have an objective; returns the page.

    Args:
        folder: of the sweep.
        title: what was swept over.
        runs: every run, by number.
    """
    lines = [f"# Sweep of {title}", "", _WARNING]
    # Runs of a verb without an objective have nothing to draw.
    if any(one.objective is not None or one.status != "finished" for one in runs):
        (folder / PICTURE).write_bytes(draw("sweep", 3.2, lambda figure: _paint(figure, runs)))
        lines += ["", f"![Objective by run]({PICTURE})"]
    lines += [*grid(_by_setting(runs)), *grid(_every_run(runs))]
    (folder / PAGE).write_text("\n".join(lines) + "\n", "utf-8")
    return folder / PAGE


def _every_run(runs: Sequence[SweptRun]) -> Table:
    varied = _varied(runs)
    rows = tuple(
        (
            str(one.number),
            " ".join(word for word in one.overrides if _key(word) in varied) or _NONE,
            one.status,
            _NONE if one.objective is None else f"{one.objective:.4g}",
            f"{one.seconds:.1f}",
            one.reason,
        )
        for one in runs
    )
    columns = (
        "Run",
        "Settings",
        "Ended",
        "Objective",
        "Seconds",
        "What it is, or why there is none",
    )
    return Table("Every run", columns, rows, frozenset({1, 2, 5}))


def _by_setting(runs: Sequence[SweptRun]) -> Table:
    """Runs that differ by their seeds alone, together; none is averaged away."""
    varied = _varied(runs)
    groups = defaultdict[str, list[SweptRun]](list)
    for one in runs:
        words = [word for word in one.overrides if _key(word) in varied]
        groups[" ".join(word for word in words if not _is_seed(word)) or _NONE].append(one)
    rows: list[tuple[str, ...]] = []
    for setting, members in groups.items():
        values = [one.objective for one in members if one.objective is not None]
        whole = len(values) == len(members)
        ended = [sum(one.status == how for one in members) for how in ("withheld", "failed")]
        rows.append(
            (
                setting,
                str(len(members)),
                *map(str, ended),
                f"{min(values):.4g}" if whole else _NONE,
                f"{median(values):.4g}" if whole else _NONE,
                f"{max(values):.4g}" if values else _NONE,
            )
        )
    columns = ("Settings", "Runs", "Withheld", "Failed", "Least", "Median", "Highest")
    caption = "Over seeds; least and median are given where every run has a number"
    return Table(caption, columns, tuple(rows))


def _varied(runs: Sequence[SweptRun]) -> set[str]:
    """Settings that are not the same in every run."""
    values = defaultdict[str, set[str]](set)
    for one in runs:
        for word in one.overrides:
            values[_key(word)].add(word)
    return {key for key, words in values.items() if len(words) > 1}


def _key(word: str) -> str:
    return word.partition("=")[0]


def _is_seed(word: str) -> bool:
    return _key(word).split(".")[0] in ("seed", "seeds")


def _paint(figure: Figure, runs: Sequence[SweptRun]) -> None:
    axes = figure.subplots()
    known = [(one.number, one.objective) for one in runs if one.objective is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "o", color=BLUE, label="finished")
    low = min((value for _, value in known), default=0.0)
    for how, colour in (("withheld", ORANGE), ("failed", VERMILION)):
        numbers = [one.number for one in runs if one.status == how]
        if numbers:
            axes.plot(numbers, [low] * len(numbers), "x", color=colour, label=f"{how}: no number")
    axes.set_xlabel("run")
    axes.set_ylabel("objective")
    figure.legend(loc="outside lower center", ncols=3)
