"""Figures of how far a log carries target policies: weights, overlap, and value by week."""

from __future__ import annotations

from datetime import date

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from nurture_rl.report import drawing
from nurture_rl.report.numbers import shortened
from nurture_rl.report.ope_source import OpeSource, rows
from nurture_rl.report.source import Json, mapping, number, numbers, words

SHOWN = 6  # policies in one figure, candidate, reference and rules first
NEEDED = 100.0  # effective episodes below which the log does not carry a policy by default
STYLES = (
    (drawing.BLUE, "-", "o"),
    (drawing.ORANGE, "--", "s"),
    (drawing.GREEN, "-.", "D"),
    (drawing.PURPLE, ":", "^"),
    (drawing.VERMILION, (0, (5, 1)), "v"),
    (drawing.SKY, (0, (1, 1)), "P"),
)


def weights(source: OpeSource) -> bytes | None:
    """Effective sample size along an episode, and the tail of the weights."""
    names = [name for name in source.policies if _tail(source, name)[0].size][:SHOWN]
    if not names:
        return None

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        if (number(source.evaluation, "horizon") or 1.0) > 1.0:
            _paint_paths(left, names, source)
        else:
            _paint_sizes(left, names, source)
        _paint_tails(right, names, source)
        figure.legend(
            *right.get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(names))
        )

    return drawing.draw("weights", 3.9, paint)


def weeks(source: OpeSource) -> bytes | None:
    """Value by week: as logged, of the candidate and of the reference."""
    values = mapping(source.appraisal, "weeks")
    asked = ("logged", source.candidate, source.reference)
    names = [name for name in dict.fromkeys(asked) if rows(values, name)]
    if not names:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        colours = {"logged": drawing.INK, source.candidate: drawing.BLUE}
        for place, name in enumerate(names):
            _paint_weeks(axes, rows(values, name), place - (len(names) - 1) / 2.0, name, colours)
        axes.set_ylabel(f"{source.unit} {source.per}")
        axes.set_xlabel("week of the episode's first decision")
        mondays = [_monday(row) for row in rows(values, names[0])]
        shown = mondays[:: max(1, len(mondays) // 6)]
        axes.set_xticks([day.toordinal() for day in shown], [f"{day:%d %b %Y}" for day in shown])
        drawing.legend_below(figure, axes, 3)

    return drawing.draw("weeks", 3.4, paint)


def _tail(source: OpeSource, name: str) -> tuple[np.ndarray, np.ndarray]:
    profile = mapping(source.appraisal, "weights", name)
    weight = [value or 0.0 for value in numbers(profile, "tail_weight")]
    share = [value or 0.0 for value in numbers(profile, "tail_share")]
    return np.array(weight), np.array(share)


def _paint_paths(axes: Axes, names: list[str], source: OpeSource) -> None:
    for name, (colour, dash, _) in zip(names, STYLES, strict=False):
        path = numbers(source.policy(name), "overlap", "ess_by_step")
        known = [(step, size) for step, size in enumerate(path, 1) if size is not None and size > 0]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, linestyle=dash, linewidth=1.8)
    axes.axhline(NEEDED, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(_whole)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Effective episodes left")
    axes.set_xlabel("decisions weighted; dashed: 100 needed")


def _paint_sizes(axes: Axes, names: list[str], source: OpeSource) -> None:
    sizes = [max(number(source.policy(name), "overlap", "ess") or 0.5, 0.5) for name in names]
    colours = [STYLES[place][0] for place in range(len(names))]
    axes.barh(range(len(names)), sizes, color=colours, height=0.6)
    axes.set_yticks(range(len(names)), [shortened(name, 18) for name in names])
    axes.invert_yaxis()
    axes.set_xscale("log")
    episodes = number(source.evaluation, "n_episodes") or NEEDED
    axes.set_xlim(0.5, 2.0 * max(*sizes, episodes, NEEDED))
    axes.axvline(NEEDED, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.xaxis.set_major_formatter(_whole)
    axes.grid(axis="y", visible=False)
    axes.set_title("Effective sample size")
    axes.set_xlabel("episodes; dashed: 100 needed")


def _paint_tails(axes: Axes, names: list[str], source: OpeSource) -> None:
    for name, (colour, dash, _) in zip(names, STYLES, strict=False):
        weight, share = _tail(source, name)
        axes.plot(
            weight,
            share,
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            drawstyle="steps-pre",
            label=shortened(name, 24),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for one in (axes.xaxis, axes.yaxis):
        one.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(_compact)
    axes.yaxis.set_major_formatter(_share)
    axes.set_title("Tail of the weights")
    axes.set_xlabel("weight of an episode")
    axes.set_ylabel("episodes at least so heavy")


def _paint_weeks(
    axes: Axes, values: list[Json], shift: float, name: str, colours: dict[str, str]
) -> None:
    day = [float(_monday(row).toordinal()) for row in values]
    value = [number(row, "value") or 0.0 for row in values]
    low = [number(row, "interval", "lower") for row in values]
    high = [number(row, "interval", "upper") for row in values]
    colour = colours.get(name, drawing.ORANGE)
    place = [one + 0.9 * shift for one in day]
    for x, bottom, top in zip(place, low, high, strict=True):
        if bottom is not None and top is not None:
            axes.plot([x, x], [bottom, top], color=colour, linewidth=1.6)
    label = "as logged" if name == "logged" else shortened(name, 24)
    axes.plot(place, value, "o", color=colour, markersize=5, label=label)


def _monday(row: Json) -> date:
    return date.fromisoformat(words(row, "period") or "")


def _whole(value: float, position: float) -> str:
    """Tick labels of a logarithmic axis; the default ones need mathematical text."""
    return f"{value:,.0f}" if value >= 1.0 else f"{value:g}"


def _compact(value: float, position: float) -> str:
    if 0.001 <= value < 10_000.0:
        return f"{value:g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _share(value: float, position: float) -> str:
    return f"{100.0 * value:g} %"
