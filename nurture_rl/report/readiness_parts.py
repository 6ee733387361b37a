"""How ready contacts are for their next stage, as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nurture_rl.predictions.stage_readiness import ReadinessPoint, SegmentReadiness, StageReadiness
from nurture_rl.report import drawing
from nurture_rl.report.numbers import MISSING, count, percent, shown
from nurture_rl.report.tables import Table

_COLOURS = (
    drawing.BLUE,
    drawing.ORANGE,
    drawing.GREEN,
    drawing.VERMILION,
    drawing.PURPLE,
    drawing.SKY,
    drawing.INK,
    drawing.GREY,
)
_STAGES = 6  # in the picture


def readiness_table(stages: Sequence[StageReadiness], by: str, days: float) -> Table:
    """A row for each segment in each stage."""
    rows = tuple(
        (
            stage.stage,
            one.segment,
            count(one.episodes),
            shown(one.weekly),
            _chance(one.by(days), days),
            _chance(one.curve[-1] if one.curve else None, days),
            _first(one),
            f"{stage.p:.2g}" if len(stage.segments) > 1 else MISSING,
            "yes" if stage.told else "no",
        )
        for stage in stages
        for one in stage.segments
    )
    head = (
        *("In the stage", "Contacts", "Episodes", "Next stages a week"),
        *(f"Goes on within {days:g} days", "As far as can be told", "What comes first"),
        *("p that all are alike", "Finding"),
    )
    caption = f"How soon contacts enter a next stage, by {by}"
    return Table(caption, head, rows, frozenset({1, 5, 6, 8}))


def readiness_picture(stages: Sequence[StageReadiness]) -> bytes:
    """A curve with its interval for each segment in each stage."""
    drawn = stages[:_STAGES]

    def paint(figure: Figure) -> None:
        columns = min(2, len(drawn))
        axes = figure.subplots(-(-len(drawn) // columns), columns, squeeze=False, sharey=True)
        for place, one in enumerate(axes.flat):
            if place < len(drawn):
                _paint(one, drawn[place])
            else:
                one.set_visible(False)
        drawing.legend_below(figure, max(axes.flat, key=_labels), 3)

    return drawing.draw("readiness", 1.0 + 2.4 * -(-len(drawn) // 2), paint)


def _labels(axes: Axes) -> int:
    return len(axes.get_legend_handles_labels()[1])


def _paint(axes: Axes, stage: StageReadiness) -> None:
    for colour, one in zip(_COLOURS, stage.segments, strict=False):
        if not one.curve:
            continue
        days = [0.0, *(point.day for point in one.curve)]
        low, high = ([0.0, *(getattr(p, end) for p in one.curve)] for end in ("lower", "upper"))
        axes.fill_between(days, low, high, color=colour, alpha=0.15, linewidth=0)
        chances = [0.0, *(point.chance for point in one.curve)]
        axes.plot(days, chances, color=colour, linewidth=1.4, label=one.segment)
    axes.set_title(stage.stage)
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("days in the stage")


def _chance(point: ReadinessPoint | None, days: float) -> str:
    if point is None:
        return MISSING
    told = f"{percent(point.chance)} [{percent(point.lower)}, {percent(point.upper)}]"
    return told if point.day == days else f"{told} by day {point.day:.0f}"


def _first(one: SegmentReadiness) -> str:
    return ", ".join(
        f"{name} {percent(chance)}" for name, chance in one.into.items() if chance >= 0.005
    )
