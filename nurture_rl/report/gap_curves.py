"""Curves of log and world over time, dose, recovery and the hours of the week."""

from __future__ import annotations

from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from nurture_rl.report import drawing
from nurture_rl.report.gap_source import FloatArray, GapSource, bounds, column, rows, shown
from nurture_rl.report.numbers import shortened
from nurture_rl.report.source import Json, listed, number, numbers, pick, words
from nurture_rl.report.world_figures import COLUMNS, frequent_heads

LOG, WORLD = drawing.INK, drawing.VERMILION
_CURVES = 6
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def survival(source: GapSource) -> bytes | None:
    """Share of episodes still without an event, with 95 % bands."""
    curves = rows(source.evidence, "survival")[:_CURVES]
    if not curves:
        return None
    height = ceil(len(curves) / COLUMNS)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(height, COLUMNS, squeeze=False, sharex=True).ravel()
        for place, (axes, curve) in enumerate(zip(grid, curves, strict=False)):
            _paint_survival(axes, curve, place == 0)
        for axes in grid[len(curves) :]:
            axes.set_visible(False)
        figure.supxlabel("bins since the start of the journey", fontsize=10)
        figure.supylabel("share of episodes without it so far", fontsize=10)

    return drawing.draw("gap-survival", 0.7 + 2.5 * height, paint)


def _paint_survival(axes: Axes, curve: Json, labelled: bool) -> None:
    for side, colour, dash, label in (
        ("real", LOG, "-", "log"),
        ("simulated", WORLD, (0, (4, 2)), "world"),
    ):
        share, low, high = (
            np.array([1.0, *_floats(curve, side, part)]) for part in ("share", "low", "high")
        )
        x = np.arange(len(share))  # what happened in bin t is known at t + 1
        axes.fill_between(x, low, high, step="post", color=colour, alpha=0.16, linewidth=0)
        axes.step(x, share, where="post", color=colour, linestyle=dash, linewidth=1.7, label=label)
    axes.set_title(shortened(shown(words(curve, "head")), 28))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if labelled:
        axes.legend(loc="upper right", handlelength=2.6)


def responses(source: GapSource) -> bytes | None:
    """How often sends are answered by recovery, by dose, and the half-lives that fit."""
    curves = [c for c in rows(source.evidence, "curves") if words(c, "family") == "recovery"]
    if not curves:
        return None
    doses = {
        words(c, "head"): c for c in rows(source.evidence, "curves") if words(c, "family") == "dose"
    }
    height = len(curves)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(height, 2, squeeze=False, sharey="row")
        for line, curve in zip(grid, curves, strict=True):
            head = words(curve, "head") or ""
            _paint_points(line[0], curve, recovery=True)
            line[0].set_ylabel(f"sends answered\nby {head}")
            if head in doses:
                _paint_points(line[1], doses[head], recovery=False)
        grid[0, 0].set_title("recovery")
        grid[0, 1].set_title("dose")
        grid[-1, 0].set_xlabel("days since the send before (F: first send)")
        grid[-1, 1].set_xlabel("sends in the 7 days before")
        grid[0, 1].legend(loc="upper right")

    return drawing.draw("gap-responses", 0.6 + 2.2 * height, paint)


def _paint_points(axes: Axes, curve: Json, recovery: bool) -> None:
    points = [p for p in rows(curve, "points") if number(p, "x") is not None]
    x = column(points, "x")
    for side, colour, shift, marker, label in (
        ("real", LOG, -0.1, "o", "log"),
        ("simulated", WORLD, 0.1, "s", "world"),
    ):
        value, half = bounds(points, side)
        line = x >= 0
        axes.errorbar(
            x + shift, value, yerr=half, fmt=marker, color=colour, markersize=5, label=label
        )
        axes.plot(x[line] + shift, value[line], color=colour, linewidth=1.0, alpha=0.6)
    axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if recovery:
        ticks = [t for t in (0, 2, 4, 6, 8, 10, 12, 14, 21, 28) if t <= max(x.max(), 2) + 1]
        axes.set_xticks([-1, *ticks], ["F", *map(str, ticks)])
    else:
        axes.set_xticks(x, [f"{v:.0f}" if v < 3 else "3+" for v in x])


def half_life(source: GapSource) -> bytes | None:
    """How well each half-life of fatigue fits log and world."""
    half_lives = pick(source.evidence, "half_lives")
    days = np.array(_floats(half_lives, "days"))
    if not days.size:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(-1.92, color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
        axes.text(days[0], -1.8, "95 % interval above", ha="left", va="bottom", color="#52606D")
        for place, (side, colour, label) in enumerate(
            (("real", LOG, "log"), ("simulated", WORLD, "world"))
        ):
            profile = np.array(_floats(half_lives, f"{side}_profile"))
            best, low, high = (number(half_lives, side, key) for key in ("value", "lower", "upper"))
            if None in (best, low, high):
                continue
            end = "or more" if high == days[-1] else f"to {high:.2g}"
            text = f"{label}: {best:.2g} days ({low:.2g} {end})"
            axes.plot(days, profile, color=colour, linewidth=1.8, linestyle=("-", "--")[place])
            at = (0.98, 0.42 - 0.12 * place)
            axes.annotate(
                text, at, xycoords="axes fraction", color=colour, fontweight="bold", ha="right"
            )
        axes.set_xscale("log")
        axes.set_ylim(-12.0, 0.6)
        ticks = [0.5, 1, 2, 5, 10, 20, 60]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        axes.set_xlabel("half-life of what earlier sends cost, days")
        axes.set_ylabel("log-likelihood less the best")

    return drawing.draw("gap-half-life", 2.9, paint)


def hours(source: GapSource) -> bytes | None:
    """Share of sends answered in each hour of the week in which mail was sent."""
    tables = rows(source.evidence, "hours")[:2]
    known = [table for table in tables if _grid(table, "real").size]
    if not known:
        return None
    wide = max(int(np.isfinite(_grid(table, "real")).any(axis=0).sum()) for table in known) > 8

    def paint(figure: Figure) -> None:
        shape = (2 * len(known), 1) if wide else (1, 2 * len(known))
        grid = figure.subplots(*shape, squeeze=False).ravel()
        for place, table in enumerate(known):
            pair = grid[2 * place : 2 * place + 2]
            _paint_week(figure, list(pair), table)

    return drawing.draw("gap-hours", 0.8 + (4.4 * len(known) if wide else 2.6), paint)


def _paint_week(figure: Figure, pair: list[Axes], table: Json) -> None:
    sides = [_grid(table, side) for side in ("real", "simulated")]
    used = np.flatnonzero(np.isfinite(sides[0]).any(axis=0))
    top = float(np.nanmax([np.nanmax(side[:, used]) for side in sides]))
    for axes, side, label in zip(pair, sides, ("log", "world"), strict=True):
        image = axes.imshow(
            side[:, used], cmap="cividis", vmin=0.0, vmax=top, aspect="auto", origin="upper"
        )
        axes.set_xticks(range(len(used)), [f"{hour:02d}" for hour in used])
        axes.set_yticks(range(7), _DAYS)
        axes.set_title(f"{shown(words(table, 'head'))}: {label}")
        axes.set_xlabel("local hour of the send")
        axes.grid(visible=False)
        if len(used) <= 8:
            _write_cells(axes, side[:, used], top)
    bar = figure.colorbar(image, ax=pair, format=PercentFormatter(1.0), shrink=0.9)
    bar.set_label("sends answered")


def _write_cells(axes: Axes, table: FloatArray, top: float) -> None:
    for (day, place), share in np.ndenumerate(table):
        if np.isfinite(share):
            colour = "white" if share < 0.55 * top else drawing.INK
            axes.text(
                place, day, f"{100 * share:.1f}", ha="center", va="center", color=colour, fontsize=8
            )


def reliability(source: GapSource) -> bytes | None:
    """Predicted against observed chance of the most frequent signals on the held-out log."""
    heads = frequent_heads(rows(source.evidence, "calibration", "heads"))
    if not heads:
        return None
    height = ceil(len(heads) / COLUMNS)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(height, COLUMNS, squeeze=False).ravel()
        for axes, head in zip(grid, heads, strict=False):
            _paint_reliability(axes, head)
        for axes in grid[len(heads) :]:
            axes.set_visible(False)
        figure.supxlabel("chance predicted for the bin", fontsize=10)
        figure.supylabel("share in the held-out log", fontsize=10)

    return drawing.draw("gap-reliability", 0.6 + 2.6 * height, paint)


def _paint_reliability(axes: Axes, head: Json) -> None:
    bins = rows(head, "bins")
    predicted, observed, low, high = (
        column(bins, key) for key in ("predicted", "observed", "low", "high")
    )
    top = 1.08 * max(float(np.nanmax(predicted)), float(np.nanmax(high)), 1e-6)
    axes.plot([0.0, top], [0.0, top], color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
    bars = np.clip([observed - low, high - observed], 0.0, None)
    axes.errorbar(predicted, observed, yerr=bars, fmt="o", color=drawing.BLUE, markersize=4)
    axes.set_title(shortened(shown(words(head, "head")), 28))
    axes.set_xlim(0.0, top)
    axes.set_ylim(0.0, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_major_locator(MaxNLocator(4))


def _grid(table: Json, side: str) -> FloatArray:
    """[7, 24], NaN where nothing was sent; empty where nothing is known at all."""
    values = [
        [np.nan if v is None else v for v in numbers(day)] for day in _days(listed(table, side))
    ]
    grid = np.array(values, np.float64)
    return grid if grid.size and np.isfinite(grid).any() else np.zeros((0, 0))


def _days(table: object) -> list[object]:
    return list(table) if isinstance(table, list | tuple) else []


def _floats(source: object, *path: str) -> list[float]:
    return [np.nan if value is None else value for value in numbers(source, *path)]
