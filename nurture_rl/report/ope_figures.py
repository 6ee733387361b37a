"""Figures of an off-policy report: forests over policies, estimators, segments and factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nurture_rl.report import drawing
from nurture_rl.report.numbers import Bounded, shortened
from nurture_rl.report.ope_source import OpeSource, believed, estimator_name, feasible, role
from nurture_rl.report.ope_weight_figures import weeks, weights
from nurture_rl.report.source import mapping

NAME_LENGTH = 34  # characters of a name beside an axis
MARGIN = 0.05  # of the range, left free at both ends
ROW = 0.36  # inches


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a forest."""

    name: str
    value: Bounded
    colour: str = drawing.BLUE
    marker: str = "o"
    strong: bool = False  # drawn bold
    sets_axis: bool = True  # its interval counts for the axis; others may leave it
    note: str = ""  # in place of an interval


def ope_figures(source: OpeSource) -> dict[str, bytes]:
    """Each figure as SVG; those without anything to show are absent.

    Names: policies, estimators-NAME per policy, weights, weeks.
    """
    painters: dict[str, Callable[[], bytes | None]] = {
        "policies": lambda: policies(source),
        "weights": lambda: weights(source),
        "weeks": lambda: weeks(source),
    }
    drawn = {name: paint() for name, paint in painters.items()}
    for place, name in enumerate(source.policies):
        drawn[f"estimators-{name}"] = estimators(source, name, f"estimators{place}")
    return {name: svg for name, svg in drawn.items() if svg is not None}


def policies(source: OpeSource) -> bytes | None:
    """Every policy's value by the estimator its verdict rests on."""
    lines = []
    for name in source.policies:
        trusted = believed(source, name)
        lack = "a check refuses" if feasible(source, name) else "the log does not carry it"
        lines.append(
            Row(
                role(source, name),
                source.value(name) if trusted else Bounded(None),
                strong=name == source.candidate,
                note="" if trusted else lack,
            )
        )
    axis = f"{source.unit} {source.per}"
    return forest("policies", lines, axis, source.value("logged").value, "the log's own mean")


def estimators(source: OpeSource, name: str, figure: str) -> bytes | None:
    """One policy's value by every estimator; the one that counts is dark, refused ones say so."""
    policy = source.policy(name)
    basis = source.basis(name)
    kinds = list(dict.fromkeys([*mapping(policy, "estimates"), *mapping(policy, "refusals")]))
    lines, trusted = [], believed(source, name)
    for kind in kinds:
        refused = kind in mapping(policy, "refusals")
        chosen = kind == basis
        lines.append(
            Row(
                estimator_name(kind),
                Bounded(None) if refused else source.estimate(name, kind),
                drawing.GREY if not trusted else drawing.BLUE if chosen else drawing.SKY,
                "o" if chosen else "s",
                strong=chosen and trusted,
                sets_axis=chosen,
                note="refused" if refused else "",
            )
        )
    logged = source.value("logged").value
    return forest(figure, lines, f"{source.unit} {source.per}", logged, "the log's own mean")


def forest(
    name: str, lines: Sequence[Row], axis: str, at: float | None, at_label: str
) -> bytes | None:
    """A forest plot: one row each, a dashed line at a value to compare with."""
    limits = _limits(lines, at)
    if limits is None:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(lines):
            _paint_row(axes, place, row, limits)
        if at is not None:
            dashed = (0, (4, 3))
            axes.axvline(at, color=drawing.INK, linewidth=1.0, linestyle=dashed, label=at_label)
        axes.set_yticks(range(len(lines)), [shortened(row.name, NAME_LENGTH) for row in lines])
        for label, row in zip(axes.get_yticklabels(), lines, strict=True):
            label.set_fontweight("bold" if row.strong else "normal")
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlim(*limits)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(axis)
        drawing.legend_below(figure, axes, 2)

    return drawing.draw(name, 1.2 + ROW * len(lines), paint)


def _limits(lines: Sequence[Row], at: float | None) -> tuple[float, float] | None:
    """Ends of the axis: whole intervals of rows that set it, bare values of the others near it."""
    ends = [] if at is None else [at]
    for row in lines:
        if row.sets_axis and row.value.value is not None:
            ends += [
                end
                for end in (row.value.value, row.value.lower, row.value.upper)
                if end is not None
            ]
    if not ends:
        ends = [row.value.value for row in lines if row.value.value is not None]
    if not any(row.value.value is not None for row in lines):
        return None
    low, high = min(ends), max(ends)
    width = high - low or abs(high) or 1.0
    # Values that stand a little aside widen the axis; wild ones become arrows at its end.
    near = [
        row.value.value
        for row in lines
        if row.value.value is not None and low - 2 * width <= row.value.value <= high + 2 * width
    ]
    low, high = min([low, *near]), max([high, *near])
    width = high - low or width
    return low - MARGIN * width, high + MARGIN * width


def _paint_row(axes: Axes, place: int, row: Row, limits: tuple[float, float]) -> None:
    value, low, high = row.value.value, row.value.lower, row.value.upper
    if value is None:
        centre = (limits[0] + limits[1]) / 2.0
        axes.text(centre, place, row.note, ha="center", va="center", color="#52606D", fontsize=9)
        return
    if low is not None and high is not None:
        left, right = max(low, limits[0]), min(high, limits[1])
        width = 2.6 if row.strong else 1.6
        if left < right:
            axes.plot([left, right], [place, place], color=row.colour, linewidth=width, zorder=2)
        for end, bound, mark in ((limits[0], low, "<"), (limits[1], high, ">")):
            beyond = bound < limits[0] if mark == "<" else bound > limits[1]
            if beyond:  # the interval goes on beyond the axis
                axes.plot(end, place, mark, color=row.colour, markersize=6, clip_on=False)
    if limits[0] <= value <= limits[1]:
        axes.plot(
            value,
            place,
            row.marker,
            color=row.colour,
            markersize=8 if row.strong else 6,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=3,
        )
