"""The sections of an off-policy report, in the order a sceptic reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from nurture_rl.report import hidden_table, judged, ope_appendix, ope_tables
from nurture_rl.report.drawing import inline
from nurture_rl.report.numbers import counted
from nurture_rl.report.ope_source import OpeSource, role, rows
from nurture_rl.report.simplest_table import simplest_table
from nurture_rl.report.source import listed, mapping, words
from nurture_rl.report.tables import Table

EMPTY = Table("", (), ())


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with what it shows."""

    title: str
    label: str  # for readers who cannot see it
    caption: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a section; what it does not have is left out."""

    figure: Figure | None = None
    table: Table = EMPTY
    kind: str = ""  # "facts" sets a narrow table
    items: tuple[str, ...] = ()
    note: str = ""
    folded: tuple[Figure, ...] = ()  # shown on demand
    folded_table: Table = EMPTY  # likewise
    folded_title: str = ""

    @property
    def blank(self) -> bool:
        """Whether there is nothing to show."""
        folded = self.folded or self.folded_table.rows
        if self.table is not EMPTY and not self.table.rows:
            return True
        return not (self.figure or self.table.rows or self.items or self.note or folded)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page and of the Markdown."""

    id: str
    title: str
    lead: str = ""
    parts: tuple[Part, ...] = field(default=())


def sections(source: OpeSource, drawn: Mapping[str, bytes]) -> list[Section]:
    """Every section that has something to show."""
    made = [
        _kpis(source),
        _values(source, drawn),
        _hidden(source),
        _checks(source),
        _comparison(source),
        _estimators(source, drawn),
        _overlap(source, drawn),
        _weeks(source, drawn),
        _segments(source, drawn),
        _lift(source, drawn),
        _risk(source),
        _refused(source),
        _intervals(source),
        _log(source),
    ]
    shown = [
        Section(one.id, one.title, one.lead, tuple(part for part in one.parts if not part.blank))
        for one in made
    ]
    return [one for one in shown if one.parts]


def _picture(
    drawn: Mapping[str, bytes], name: str, title: str, label: str, caption: str
) -> Figure | None:
    if name not in drawn:
        return None
    return Figure(title, label, caption, Markup(inline(drawn[name])))


def _kpis(source: OpeSource) -> Section:
    return Section(
        "kpis",
        "Key figures, and what each policy would do",
        "",
        (
            Part(
                table=judged.kpis(source),
                note="The north star is what the journey is for; the others guard against winning "
                "it at a price. After the semicolon: less the reference, contact by contact.",
            )
            if rows(source.appraisal, "kpis")
            else Part(),
            Part(table=judged.doing(source)),
        ),
    )


def _values(source: OpeSource, drawn: Mapping[str, bytes]) -> Section:
    figure = _picture(
        drawn,
        "policies",
        "Value by policy",
        "Forest plot: each policy's value with its interval",
        "Each policy's value by the estimator its verdict rests on, with its interval. What the "
        "log does not carry gets no number here; below, every estimator's attempt is shown.",
    )
    return Section(
        "values",
        "What each policy would earn",
        "",
        (
            Part(figure=figure),
            Part(table=ope_tables.values(source)),
            Part(items=ope_tables.judgements(source)),
        ),
    )


def _hidden(source: OpeSource) -> Section:
    return Section(
        "hidden",
        "What a hidden cause could make of these numbers",
        "Propensities are estimated: what drove the sends and no feature says may drive outcomes.",
        (Part(table=hidden_table.bounds(source), note=hidden_table.NOTE),)
        if mapping(source.appraisal, "hidden")
        else (),
    )


def _checks(source: OpeSource) -> Section:
    passed, failed = (ope_tables.checks(source, passed) for passed in (True, False))
    weeks = [words(row, "period") for row in rows(source.appraisal, "weeks", "logged")]
    note = f"Week 1 began on {weeks[0]}." if weeks else ""
    return Section(
        "checks",
        "What was asked of the log first",
        "A check that refuses withholds every verdict it speaks about; a warning stands beside it.",
        (
            Part(table=failed),
            Part(items=() if failed.rows else ("No check refuses or warns.",)),
            Part(folded_table=passed, folded_title=f"{counted(len(passed.rows), 'check')} passed"),
            Part(note=note),
        ),
    )


def _comparison(source: OpeSource) -> Section:
    reason = words(source.appraisal, "comparison", "reason") or ""
    return Section(
        "comparison",
        "Which policy may be the best",
        f"{reason[:1].upper()}{reason[1:]}." if reason else "",
        (Part(table=ope_tables.comparison(source)), Part(table=simplest_table(source))),
    )


def _estimators(source: OpeSource, drawn: Mapping[str, bytes]) -> Section:
    figures = [
        _picture(
            drawn,
            f"estimators-{name}",
            role(source, name),
            f"Forest plot: the value of {name} by every estimator",
            "Dark: the estimator the verdict rests on; its interval sets the axis. All grey: not "
            "to be believed, the log does not carry the policy or a check refuses. Estimators that "
            "weight differently and still agree are evidence; where they part, believe none "
            "of them before the overlap below is understood.",
        )
        for name in source.policies
    ]
    known = [figure for figure in figures if figure is not None]
    return Section(
        "estimators",
        "What every estimator says",
        "",
        (
            Part(figure=known[0] if known else None),
            Part(folded=tuple(known[1:]), folded_title="The same for the other policies"),
            Part(table=ope_tables.estimates(source)),
            Part(
                table=ope_tables.selection(source),
                note="Bias is bounded by the distance to the doubly robust estimate. A verdict "
                "rests on an estimator that was named before the log was seen, whichever errs "
                "least here: the one that happens to vary least would be too sure of itself.",
            ),
        ),
    )


def _overlap(source: OpeSource, drawn: Mapping[str, bytes]) -> Section:
    figure = _picture(
        drawn,
        "weights",
        "Weights",
        "Effective sample size along an episode, and the tail of the weights",
        "Left: how many equally weighted episodes the log is worth once decisions are weighted. "
        "Right: share of episodes that weigh at least so much; a line that falls slowly means that "
        "few contacts speak for all.",
    )
    return Section(
        "overlap",
        "Whether the log can speak about them",
        "",
        (Part(figure=figure), Part(table=ope_tables.overlaps(source))),
    )


def _weeks(source: OpeSource, drawn: Mapping[str, bytes]) -> Section:
    figure = _picture(
        drawn,
        "weeks",
        "Value by week",
        "Value by week, as logged and for the candidate and the reference",
        "Doubly robust, each week by itself. A policy that wins in one week alone has met an "
        "event, not an effect.",
    )
    return Section(
        "weeks",
        "Week by week",
        "",
        (Part(figure=figure), Part(table=ope_tables.periods(source))),
    )


def _segments(source: OpeSource, drawn: Mapping[str, bytes]) -> Section:
    figure = _picture(
        drawn,
        "segments",
        "Difference by segment",
        "Forest plot: the candidate's difference to the reference in each segment",
        "Blue: better, red: worse, both by p-values corrected for all segments; grey: no "
        "difference can be told. All intervals hold together. The dashed line is the difference "
        "over all contacts.",
    )
    return Section(
        "segments",
        "For whom it is better",
        "",
        (Part(figure=figure), Part(table=ope_appendix.segments_table(source))),
    )


def _lift(source: OpeSource, drawn: Mapping[str, bytes]) -> Section:
    figure = _picture(
        drawn,
        "lift",
        "Lift by factor",
        "Forest plot: each factor's share of the lift, and their sum",
        "What each choice earns when it follows the candidate and the others stay with the "
        "reference, averaged over all orders of unlocking them. The shares add up to the whole, "
        "which is the doubly robust difference of the two policies.",
    )
    return Section(
        "lift",
        "Which choices earn the difference",
        "",
        (Part(figure=figure), Part(table=ope_appendix.lift_table(source))),
    )


def _risk(source: OpeSource) -> Section:
    return Section(
        "risk",
        "What can go wrong",
        "",
        (
            Part(
                table=ope_appendix.tails_table(source),
                note="Weighted by whole episodes. A mean of the worst that rests on few episodes "
                "is too sure of itself.",
            ),
            Part(
                table=judged.limits(source),
                note="A policy that may do more harm than its limit is not called better; what the "
                "log cannot bound may be anything.",
            ),
            Part(
                table=ope_appendix.harms_table(source),
                note="A harm that was never seen is not ruled out: the bound is what the log "
                "cannot exclude.",
            ),
        ),
    )


def _refused(source: OpeSource) -> Section:
    return Section(
        "refused",
        "What was refused, and why",
        "",
        (
            Part(table=ope_tables.refusals(source)),
            Part(table=ope_tables.set_aside(source)),
            Part(items=ope_tables.skipped(source)),
        ),
    )


def _intervals(source: OpeSource) -> Section:
    return Section(
        "intervals",
        "How the intervals were chosen",
        "Contacts are what is drawn by chance, so every interval counts contacts, not decisions.",
        (Part(table=ope_tables.intervals(source)),),
    )


def _log(source: OpeSource) -> Section:
    return Section(
        "log",
        "The log",
        "",
        (
            Part(table=ope_tables.log_facts(source), kind="facts"),
            Part(items=tuple(str(note) for note in listed(source.log, "notes"))),
        ),
    )
