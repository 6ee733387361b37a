"""Predictions for people: what each chance is worth before anybody acts on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from nurture_rl.predictions.predicting import GOOD, ToldHorizon, column
from nurture_rl.report import drawing
from nurture_rl.report.drawing import inline
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, count, counted, percent, shown
from nurture_rl.report.score_tables import score_tables
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page
from nurture_rl.report.told_predictions import ToldPredictions

_COLUMNS = 4  # pictures side by side
_NO_EFFECT = (
    "These are chances under the programme that made the log. They say who is likely to act, not "
    "whom a mail would move: that is what `nurture ope` and `nurture lift` tell."
)


def predictions_page(told: ToldPredictions) -> str:
    """The page; the same predictions give the same bytes."""
    return page(
        "predictions_page.html.j2",
        f"Predictions: {told.title}",
        subtitle=f"As of {told.as_of}",
        provenance=told.provenance,
        answers=answers(told),
        figure=Markup(inline(_picture(judged))) if (judged := _judged(told)) else None,
        tables=_tables(told),
        scores=score_tables(told),
    )


def predictions_markdown(told: ToldPredictions) -> str:
    """The same without the picture."""
    lines = [f"# Predictions: {told.title}", "", f"As of {told.as_of}", ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(told)]
    for table in [*_tables(told), *score_tables(told)]:
        lines += grid(table)
    return "\n".join(lines).rstrip() + "\n"


def answers(told: ToldPredictions) -> list[tuple[str, str]]:
    """The first screen."""
    good = [column(one.outcome, one.horizon) for one in told.told if one.verdict == GOOD]
    trusted = f"{', '.join(f'`{name}`' for name in good)}." if good else "None."
    who = f"{counted(told.contacts, 'contact')} in the journey"
    if not told.contacts:
        who = f"Nobody is in the journey then; the last decision was made at {told.last_decision}"
    after = (
        "" if told.goes_on else " The log tells nothing of what contacts do after their episode."
    )
    unbound = [one.score for one in told.bindings if not one.bound]
    decides = f"Nothing by {', '.join(f'`{n}`' for n in unbound)}." if unbound else "Every score."
    return [
        ("Which chances can be believed?", trusted),
        ("Of whom?", f"{who}. {counted(told.over, 'contact')} had left it by then.{after}"),
        *([("What is decided by scores?", decides)] if told.bindings else []),
        ("What are they no answer to?", _NO_EFFECT),
    ]


def _judged(told: ToldPredictions) -> list[ToldHorizon]:
    return [one for one in told.told if one.judged is not None]


def _tables(told: ToldPredictions) -> list[Table]:
    means = {one.name: one.means for one in told.outcomes}
    rows = tuple(_row(one, told) for one in told.told)
    judged = Table(
        "Each chance, judged on decisions later than all that its model knew",
        (
            *("Chance", "Verdict", "Decisions", "With it", "Said", "Came"),
            *("Calibration error", "Brier skill, 95 %", "Mean now"),
        ),
        rows,
        frozenset({1}),
    )
    words = Table(
        "What the outcomes are",
        ("Outcome", "It is that the contact"),
        tuple(means.items()),
        frozenset({1}),
    )
    return [judged, words]


def _row(one: ToldHorizon, told: ToldPredictions) -> tuple[str, ...]:
    name = column(one.outcome, one.horizon)
    if one.judged is None:
        return (name, one.verdict, *[MISSING] * 7)
    found = one.judged
    skill = f"{shown(found.brier_skill)} [{shown(found.skill_low)}, {shown(found.skill_high)}]"
    return (
        name,
        one.verdict,
        count(found.n),
        count(found.events),
        percent(found.predicted_rate),
        percent(found.base_rate),
        percent(found.ece),
        skill,
        percent(told.means.get(name)),
    )


def _picture(judged: Sequence[ToldHorizon]) -> bytes:
    """Said against came, by tenths of the judged decisions."""
    rows = ceil(len(judged) / _COLUMNS)

    def paint(figure: Figure) -> None:
        axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for one, place in zip(judged, axes, strict=False):
            _paint(place, one)
        for place in axes[len(judged) :]:
            place.set_visible(False)
        figure.supxlabel("chance that was said", fontsize=10)
        figure.supylabel("share in which it came", fontsize=10)

    return drawing.draw("predictions-reliability", 0.6 + 2.3 * rows, paint)


def _paint(axes: Axes, one: ToldHorizon) -> None:
    assert one.judged is not None, "only judged chances are drawn"
    bins = one.judged.bins
    said, came, low, high = (
        np.array([getattr(part, name) for part in bins])
        for name in ("predicted", "observed", "low", "high")
    )
    top = 1.05 * max(float(said.max()), float(high.max()), 1e-6)
    least = min(float(said.min()), float(low.min())) if said.min() > 0.5 else 0.0
    axes.plot([least, top], [least, top], color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
    bars = np.clip([came - low, high - came], 0.0, None)
    colour = drawing.BLUE if one.verdict == GOOD else drawing.ORANGE
    axes.errorbar(said, came, yerr=bars, fmt="o", color=colour, markersize=4)
    axes.set_title(column(one.outcome, one.horizon))
    axes.set_xlim(least, top)
    axes.set_ylim(least, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_major_locator(MaxNLocator(4))
