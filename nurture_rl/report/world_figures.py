"""Figures of the learned world's calibration, of what is sent when, and of what is forbidden."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from nurture_rl.report import drawing
from nurture_rl.report.mixes import (
    FloatArray,
    bins_of,
    mix_names,
    mix_of,
    routing_shares,
    single_bin,
)
from nurture_rl.report.numbers import sentence_case, shortened
from nurture_rl.report.source import Json, ReportInput, listed, mapping, number, words
from nurture_rl.report.value_tables import role

SHOWN_HEADS = 6
COLUMNS = 3
MANY_BINS = 40  # above it, bars become an area
COLOURS = {
    "send": drawing.BLUE,
    "escalate": drawing.VERMILION,
    "pause": "#D9DEE4",
    "exit": drawing.INK,
}


def frequent_heads(calibration: Sequence[Json]) -> list[Json]:
    """The heads with most events that have a reliability curve."""
    drawn = [head for head in calibration if listed(head, "bins") and number(head, "events")]
    return sorted(drawn, key=lambda head: -(number(head, "events") or 0.0))[:SHOWN_HEADS]


def calibration(source: ReportInput) -> bytes | None:
    """Reliability of the most frequent heads: predicted against observed chance."""
    heads = frequent_heads(source.calibration)
    if not heads:
        return None
    n_rows = ceil(len(heads) / COLUMNS)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
        for axes, head in zip(grid, heads, strict=False):
            _paint_head(axes, head)
        for axes in grid[len(heads) :]:
            axes.set_visible(False)
        figure.supxlabel("predicted chance per decision", fontsize=10)
        figure.supylabel("observed share", fontsize=10)

    return drawing.draw("calibration", 0.6 + 2.7 * n_rows, paint)


def action_mix(source: ReportInput) -> bytes | None:
    """Which kinds of action are taken in each bin, one panel per policy."""
    names = mix_names(source)
    mixes = [mix for name in names if (mix := mix_of(source, name)) is not None]
    if not mixes:
        return None
    if single_bin(source):
        labels = ["as logged" if name is None else _part(source, name) for name in names]
        return _single_mix(source, labels, mixes)
    titles = ["as logged" if name is None else role(source, name) for name in names]

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(mixes), 1, squeeze=False, sharex=True)[:, 0]
        for axes, title, mix in zip(grid, titles, mixes, strict=True):
            _paint_mix(axes, bins_of(source, mix), routing_shares(source, mix))
            axes.set_title(shortened(title, 70))
        grid[-1].set_xlabel("bin of the journey")
        drawing.legend_below(figure, grid[0], 4)

    return drawing.draw("action_mix", 0.9 + 1.75 * len(mixes), paint)


def guardrails(source: ReportInput) -> bytes | None:
    """How often each guardrail forbade an action, for candidate and reference."""
    policies = mapping(source.evaluation, "simulator", "policies")
    chosen = dict.fromkeys(name for name in (source.candidate, source.reference) if name)
    counts = {name: mapping(policies.get(name), "reasons") for name in chosen}
    totals: dict[str, float] = {}
    for reasons in counts.values():
        for reason in reasons:
            totals[reason] = totals.get(reason, 0.0) + (number(reasons, reason) or 0.0)
    order = [reason for reason in sorted(totals, key=lambda r: -totals[r]) if totals[reason] > 0]
    counts = {name: reasons for name, reasons in counts.items() if reasons}
    if not order:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        height = 0.8 / len(counts)
        for place, ((name, reasons), colour) in enumerate(
            zip(counts.items(), (drawing.BLUE, drawing.ORANGE), strict=False)
        ):
            y = np.arange(len(order)) + (place - (len(counts) - 1) / 2) * height
            widths = [number(reasons, reason) or 0.0 for reason in order]
            label = _part(source, name)
            axes.barh(y, widths, height=height * 0.92, color=colour, label=label)
        axes.set_yticks(range(len(order)), [sentence_case(reason) for reason in order])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("actions forbidden in the simulator")
        drawing.legend_below(figure, axes, 2)

    return drawing.draw("guardrails", 1.3 + 0.42 * len(order), paint)


def _part(source: ReportInput, name: str) -> str:
    return "candidate" if name == source.candidate else "reference"


def _paint_head(axes: Axes, head: Json) -> None:
    keys = ("predicted", "observed", "low", "high")
    points = [tuple(number(entry, key) for key in keys) for entry in listed(head, "bins")]
    known = np.array([point for point in points if None not in point], dtype=np.float64)
    axes.set_title(shortened(sentence_case(words(head, "head") or ""), 28))
    if not known.size:
        return
    predicted, observed, low, high = known.T
    top = 1.08 * max(predicted.max(), high.max(), 1e-6)
    axes.plot([0.0, top], [0.0, top], color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
    # Rounding may put the observed share a hair outside its own interval.
    bars = np.clip([observed - low, high - observed], 0.0, None)
    axes.errorbar(
        predicted, observed, yerr=bars, fmt="o", color=drawing.BLUE, markersize=4, linewidth=1.2
    )
    axes.set_xlim(0.0, top)
    axes.set_ylim(0.0, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_major_locator(MaxNLocator(4))


def _paint_mix(axes: Axes, bins: FloatArray, shares: dict[str, FloatArray]) -> None:
    colours = [COLOURS.get(name, drawing.PURPLE) for name in shares]
    if len(bins) > MANY_BINS:
        axes.stackplot(bins, *shares.values(), labels=list(shares), colors=colours, linewidth=0)
        axes.set_xlim(bins[0], bins[-1])
    else:
        floor = np.zeros(len(bins))
        for (name, share), colour in zip(shares.items(), colours, strict=True):
            axes.bar(bins, share, 0.86, bottom=floor, color=colour, label=name)
            floor = floor + share
        axes.set_xlim(bins[0] - 0.6, bins[-1] + 0.6)
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(visible=False)


def _single_mix(source: ReportInput, labels: list[str], mixes: list[FloatArray]) -> bytes:
    """Journeys of one decision: one group of bars per action."""
    ids = [str(name) for name in listed(source.evaluation, "actions")]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        height = 0.8 / len(mixes)
        colours = (drawing.GREY, drawing.BLUE, drawing.ORANGE)
        for place, (label, mix, colour) in enumerate(zip(labels, mixes, colours, strict=False)):
            y = np.arange(len(ids)) + (place - (len(mixes) - 1) / 2) * height
            axes.barh(y, mix[0], height=height * 0.92, color=colour, label=label)
        axes.set_yticks(range(len(ids)), [shortened(name, 30) for name in ids])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share of decisions")
        drawing.legend_below(figure, axes, 3)

    return drawing.draw("action_mix", 1.2 + 0.24 * len(ids) * len(mixes), paint)
