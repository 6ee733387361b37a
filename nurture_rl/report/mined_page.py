"""Paths, stall points and kinds of contacts, for people."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from nurture_rl.predictions.frequent_paths import FrequentPath
from nurture_rl.predictions.mined_journeys import MinedJourneys
from nurture_rl.report import drawing
from nurture_rl.report.drawing import inline
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import Bounded, count, percent, shown
from nurture_rl.report.readiness_parts import readiness_picture, readiness_table
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

_SHOWN = 12  # paths in table and picture
_TICKS = (0.1, 0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0, 10.0)
NOTE = (
    "Who goes a path is held, day by day of the episode, against contacts who did the same in "
    "another order; contacts of one account count together. These are associations of what "
    "contacts did by themselves: that who goes a path comes to the north star more often does not "
    "say that leading others along it would."
)


def mined_page(found: MinedJourneys) -> str:
    """The page; the same findings give the same bytes."""
    stages = found.findings.readiness
    return page(
        "mined_page.html.j2",
        _title(found),
        subtitle=_subtitle(found),
        answers=answers(found),
        figure=Markup(inline(_picture(found.findings.paths[:_SHOWN])))
        if found.findings.paths
        else None,
        note=NOTE,
        paths=_paths(found),
        stalls=_stalls(found),
        segments=_segments(found),
        readiness=_readiness(found),
        readiness_figure=Markup(inline(readiness_picture(stages))) if stages else None,
    )


def mined_markdown(found: MinedJourneys) -> str:
    """The same without the picture."""
    lines = [f"# {_title(found)}", "", _subtitle(found), ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(found)]
    lines += ["", NOTE]
    for table in (_paths(found), _stalls(found), _segments(found), _readiness(found)):
        lines += grid(table) if table.rows else []
    return "\n".join(lines) + "\n"


def answers(found: MinedJourneys) -> list[tuple[str, str]]:
    """The first screen."""
    paths = [
        f"{_said(one)} ({shown(one.ratio)} times as often)"
        for one in found.findings.told_paths
        if one.ratio > 1.0
    ][:3]
    stalls = [f"`{one.act}`" for one in found.findings.stalls if one.told][:3]
    kinds = found.findings.segments
    if kinds.segments:
        stable = f"{len(kinds.segments)} kinds, found again with an agreement of"
        groups = f"{stable} {shown(kinds.stability)} (1 is always, 0 is chance)."
    else:
        groups = (
            f"No stable ones: other draws of the same contacts give other groups (agreement "
            f"{shown(kinds.stability)}, and {shown(kinds.shuffled)} where no kinds can be)."
        )
    return [
        (
            "Which paths does the north star follow?",
            "; ".join(paths) + "." if paths else "None that can be told from chance.",
        ),
        (
            "Where do contacts stay?",
            f"After {'; after '.join(stalls)}."
            if stalls
            else "Nowhere more than elsewhere, as far as can be told.",
        ),
        ("What kinds of contacts are there?", groups),
        ("Who is ready for the next stage?", _ready(found)),
        (
            "What comes of it?",
            "`mined.yaml` beside this page has the told paths as features of a journey; "
            "read it, and add what the journey is to know.",
        ),
    ]


def _ready(found: MinedJourneys) -> str:
    stages = [one for one in found.findings.readiness if one.told]
    if not stages:
        return f"Nobody more than others, as far as can be told by {found.findings.by}."
    parts = []
    for stage in stages[:3]:
        soon, late = (pick(stage.segments, key=lambda one: one.weekly) for pick in (max, min))
        parts.append(
            f"in {stage.stage}: {soon.segment} ({shown(soon.weekly)} next stages a week), "
            f"{late.segment} least ({shown(late.weekly)})"
        )
    return f"By {found.findings.by}, {'; '.join(parts)}."


def _title(found: MinedJourneys) -> str:
    return f"{found.title}: what contacts do"


def _subtitle(found: MinedJourneys) -> str:
    many = f"{count(found.episodes)} episodes, {count(found.reached)} reached the north star"
    return f"{found.provenance} · {found.log}, as of {found.as_of} · {many}"


def _said(path: FrequentPath) -> str:
    return ", then ".join(f"`{step}`" for step in path.steps)


def _paths(found: MinedJourneys) -> Table:
    rows = tuple(
        (
            ", then ".join(one.steps),
            percent(one.share),
            shown(one.days),
            Bounded(one.ratio, one.lower, one.upper).shown(),
            f"{one.p:.2g}",
            "yes" if one.told else "no",
        )
        for one in found.findings.paths[:_SHOWN]
    )
    head = ("Path", "Episodes", "Median days", "North star, times as often", "p", "Finding")
    left = len(found.findings.paths) - len(rows)
    more = f"; {left} less sure ones are in the record" if left else ""
    caption = f"Paths from the surest on, tested on contacts they were not found in{more}"
    return Table(caption, head, rows, frozenset({5}))


def _stalls(found: MinedJourneys) -> Table:
    rows = tuple(
        (
            one.act,
            count(one.episodes),
            f"{percent(one.stays)} [{percent(one.lower)}, {percent(one.upper)}]",
            percent(one.others),
            f"{one.p:.2g}",
            "yes" if one.told else "no",
        )
        for one in found.findings.stalls
    )
    head = ("After", "Episodes", "Nothing follows", "After all others", "p", "Finding")
    caption = f"Contacts for whom nothing follows an act within {found.days:g} days"
    return Table(caption, head, rows, frozenset({5}))


def _segments(found: MinedJourneys) -> Table:
    kinds = found.findings.segments
    names = list(kinds.segments[0].means) if kinds.segments else []
    rows = (
        ("share of the contacts", *(percent(one.share) for one in kinds.segments)),
        ("reach the north star later", *(percent(one.reached) for one in kinds.segments)),
        *((name, *(shown(one.means[name]) for one in kinds.segments)) for name in names),
    )
    caption = f"Contacts by their acts of the first {kinds.days:g} days, mean of each act"
    head = ("", *(f"Kind {place}" for place in range(1, len(kinds.segments) + 1)))
    finding = "a finding" if kinds.told else "no finding"
    told = f"{caption}; p {kinds.p:.2g} that all kinds reach it alike, {finding}"
    return Table(told, head, rows if names else ())


def _readiness(found: MinedJourneys) -> Table:
    return readiness_table(found.findings.readiness, found.findings.by, found.days)


def _picture(paths: tuple[FrequentPath, ...]) -> bytes:
    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, one in enumerate(paths):
            colour = drawing.BLUE if one.told else drawing.GREY
            high = min(one.upper, 100.0)
            axes.plot([max(one.lower, 0.01), high], [place, place], color=colour, linewidth=1.2)
            axes.plot([one.ratio], [place], color=colour, marker="o", markersize=4)
        axes.axvline(1.0, color=drawing.GREY, linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks([tick for tick in _TICKS if _inside(tick, axes.get_xlim())])
        axes.set_yticks(range(len(paths)), [", ".join(one.steps) for one in paths])
        axes.invert_yaxis()
        axes.set_xlabel("north star, times as often as in other orders (grey: no finding)")

    return drawing.draw("paths", 0.8 + 0.35 * max(len(paths), 3), paint)


def _inside(tick: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= tick <= limits[1]
