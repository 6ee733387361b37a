"""Figures of a world's reality gap: rates, funnel, effects, delays and what gives it away."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from nurture_rl.report import drawing, gap_curves
from nurture_rl.report.gap_curves import LOG, WORLD
from nurture_rl.report.gap_source import FloatArray, GapSource, bounds, column, rows, shown
from nurture_rl.report.numbers import percent, shortened
from nurture_rl.report.source import Json, listed, number, numbers, pick, words

_SHOWN = 16
_PANELS = 4
_SURE_EFFECT = 0.3  # larger ones are deliveries, and would flatten the rest
_RATIOS = (0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 10.0)
_FINDINGS = {
    "agrees": (drawing.GREEN, "o", "agrees"),
    "unclear": ("#7B8794", "D", "cannot tell"),
    "differs": (drawing.VERMILION, "s", "differs"),
}


def gap_figures(source: GapSource) -> dict[str, bytes]:
    """Each figure as SVG; those without anything to show are absent.

    Names: rates, funnel, survival, responses, half_life, hours, effects, classifier, delays,
    reliability.
    """
    painters = {
        "rates": rates,
        "funnel": funnel,
        "survival": gap_curves.survival,
        "responses": gap_curves.responses,
        "half_life": gap_curves.half_life,
        "hours": gap_curves.hours,
        "effects": effects,
        "classifier": classifier,
        "delays": late,
        "reliability": gap_curves.reliability,
    }
    drawn = {name: paint(source) for name, paint in painters.items()}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def rates(source: GapSource) -> bytes | None:
    """Rates of the world over those of the log, by signal."""
    table = sorted(source.compared("rate"), key=lambda row: -(number(row, "real", "value") or 0))
    table = [row for row in table if words(row, "head") in _read(source)][:_SHOWN]
    if not table:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _forest(axes, table)
        axes.set_xlabel("rate per decision, world over log (95 % interval)")

    return drawing.draw("gap-rates", 1.3 + 0.3 * len(table), paint)


def _forest(axes: Axes, table: list[Json]) -> None:
    """Ratios with intervals; the shaded band holds gaps that do not matter."""
    y = np.arange(len(table))
    gap, low, high = (column(table, key) for key in ("gap", "lower", "upper"))
    margin = float(np.nanmax(column(table, "margin")))
    axes.axvspan(np.exp(-margin), np.exp(margin), color="#EEF1F4", linewidth=0)
    axes.axvline(1.0, color="#7B8794", linewidth=1.0)
    for finding, (colour, marker, label) in _FINDINGS.items():
        rows_of = np.array([words(row, "finding") == finding for row in table])
        if rows_of.any():
            centre = np.exp(gap[rows_of])
            bars = np.array([centre - np.exp(low[rows_of]), np.exp(high[rows_of]) - centre])
            axes.errorbar(
                centre, y[rows_of], xerr=bars, fmt=marker, color=colour, markersize=5, label=label
            )
    axes.set_xscale("log")
    span = np.exp(np.nanmax(np.abs(np.concatenate([low, high, [margin]]))))
    axes.set_xlim(0.93 / span, span / 0.93)
    ticks = [t for t in _RATIOS if 0.93 / span <= t <= span / 0.93]
    axes.set_xticks(ticks, [f"{t:g}×" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(y, [shortened(_named(row), 34) for row in table])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    for place, row in enumerate(table):
        sides = (percent(number(row, side, "value")) for side in ("real", "simulated"))
        axes.annotate(
            " → ".join(sides),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color="#52606D",
        )
    axes.annotate(
        "log → world",
        (1.01, 1.0),
        xycoords="axes fraction",
        va="bottom",
        fontsize=8.5,
        color="#52606D",
    )
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _named(row: Json) -> str:
    group = words(row, "group")
    head = shown(words(row, "head"))
    return head if group in (None, "all") else f"{head}, {group}"


def _read(source: GapSource) -> set[str]:
    """Signals that something reads; gaps of the others cannot matter."""
    return {str(name) for name in listed(source.evidence, "read")}


def funnel(source: GapSource) -> bytes | None:
    """Share of episodes that ever reached each signal."""
    table = [row for row in source.compared("funnel") if words(row, "head") in _read(source)]
    table = sorted(table, key=lambda row: -(number(row, "real", "value") or 0.0))[:_SHOWN]
    if not table:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        y = np.arange(len(table))
        floor = 0.5 * float(np.nanmin(np.maximum(column(table, "real", "value"), 2e-5)))
        for side, colour, marker, shift, label in (
            ("real", LOG, "o", -0.13, "log"),
            ("simulated", WORLD, "s", 0.13, "world"),
        ):
            value, half = bounds(table, side)
            value = np.maximum(value, floor)
            bars = np.array([np.minimum(half, value - 0.5 * floor), half])
            axes.errorbar(
                value,
                y + shift,
                xerr=bars,
                fmt=marker,
                color=colour,
                markersize=5,
                label=label,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g} %"))
        axes.set_yticks(y, [shortened(shown(words(row, "head")), 34) for row in table])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("episodes that ever saw it (95 % interval, logarithmic axis)")
        axes.legend(loc="lower right")

    return drawing.draw("gap-funnel", 1.1 + 0.32 * len(table), paint)


def effects(source: GapSource) -> bytes | None:
    """What sending does to each signal: by the log's propensities, without them, in the world."""
    table = rows(source.evidence, "effects")
    table = sorted(table, key=lambda row: -(number(row, "base") or 0.0))
    table = [row for row in table if words(row, "head") in _read(source)]
    table = [row for row in table if abs(number(row, "world") or 0.0) < _SURE_EFFECT][:10]
    if not table:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        y = np.arange(len(table))
        scale = 100.0
        axes.axvline(0.0, color="#7B8794", linewidth=1.0)
        for side, colour, marker, shift, label in (
            ("logged", LOG, "o", -0.2, "log, by its propensities"),
            ("naive", drawing.SKY, "D", 0.0, "log, by what features explain"),
        ):
            value, half = bounds(table, side)
            axes.errorbar(
                scale * value,
                y + shift,
                xerr=scale * half,
                fmt=marker,
                color=colour,
                markersize=5,
                label=label,
            )
        axes.plot(
            scale * column(table, "world"),
            y + 0.2,
            "s",
            color=WORLD,
            markersize=5.5,
            label="world",
        )
        axes.set_yticks(y, [shortened(shown(words(row, "head")), 34) for row in table])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("change of the chance in the bin by a send, percentage points")
        drawing.legend_below(figure, axes, 3)

    return drawing.draw("gap-effects", 1.5 + 0.38 * len(table), paint)


def classifier(source: GapSource) -> bytes | None:
    """How well episodes can be told apart, and by what."""
    test = pick(source.evidence, "two_sample")
    auc, curve = number(test, "auc"), np.array([numbers(p) for p in listed(test, "curve")], float)
    if auc is None or curve.ndim != 2:
        return None
    giveaways = rows(test, "giveaways")

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
        left.plot([0, 1], [0, 1], color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
        left.plot(curve[:, 0], curve[:, 1], color=drawing.BLUE, linewidth=1.8)
        low, high = number(test, "lower") or 0.0, number(test, "upper") or 1.0
        left.text(0.97, 0.05, f"AUC {auc:.3f}\n[{low:.3f}, {high:.3f}]", ha="right", va="bottom")
        left.text(0.52, 0.48, "cannot tell", rotation=38, va="top", color="#52606D", fontsize=9)
        left.set_xlabel("simulated episodes taken for logged")
        left.set_ylabel("logged episodes recognised")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        _paint_giveaways(right, giveaways)

    return drawing.draw("gap-classifier", 3.7, paint)


def _paint_giveaways(axes: Axes, giveaways: list[Json]) -> None:
    y = np.arange(len(giveaways))
    axes.barh(y, np.maximum(column(giveaways, "importance"), 0.0), 0.62, color=drawing.BLUE)
    axes.set_yticks(y, [shortened(shown(words(row, "name")), 40) for row in giveaways], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("AUC lost without it")
    axes.set_xlim(left=0.0, right=max(0.01, 1.3 * float(column(giveaways, "importance").max())))
    axes.set_title("what gives the world away (mean log | world)", fontsize=9)
    for place, row in enumerate(giveaways):
        means = (number(row, side) or 0.0 for side in ("real", "simulated"))
        axes.annotate(
            " | ".join(f"{mean:.2f}" for mean in means),
            (max(number(row, "importance") or 0.0, 0.0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#52606D",
        )


def late(source: GapSource) -> bytes | None:
    """Share of events that are known only so many bins later, log against world."""
    table = [row for row in rows(source.evidence, "delays") if _late(row) > 0.005]
    table = sorted(table, key=lambda row: -_late(row))[:_PANELS]
    if not table:
        return None

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, _PANELS, squeeze=False, sharey=True)[0]
        for axes, row in zip(grid, table, strict=False):
            for side, colour, shift, label in (
                ("real", LOG, -0.2, "log"),
                ("simulated", WORLD, 0.2, "world"),
            ):
                shares = _shares(row, side)
                axes.bar(np.arange(len(shares)) + shift, shares, 0.38, color=colour, label=label)
            axes.set_title(shortened(shown(words(row, "head")), 22))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        for axes in grid[len(table) :]:
            axes.set_visible(False)
        grid[0].legend(loc="upper right")
        figure.supxlabel("bins until the log knows of it", fontsize=10)
        figure.supylabel("share of events", fontsize=10)

    return drawing.draw("gap-delays", 2.8, paint)


def _late(row: Json) -> float:
    shares = [_shares(row, side) for side in ("real", "simulated")]
    return max(1.0 - float(share[0]) if share.size else 0.0 for share in shares)


def _shares(row: Json, side: str) -> FloatArray:
    shares = np.array([0.0 if v is None else v for v in numbers(row, side)], np.float64)
    seen = np.flatnonzero(shares > 0.0005)
    return shares[: int(seen[-1]) + 1] if seen.size else shares[:0]
