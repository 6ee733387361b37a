"""What each source of a log is worth to a policy, for people."""

from __future__ import annotations

from nurture_rl.appraisal.source_values import Loss, SourcesReport, SourceValue
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, Bounded, count, percent
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

TITLE = "What is each source worth?"


def sources_page(report: SourcesReport, subtitle: str) -> str:
    """The page; the same report gives the same bytes.

    Args:
        report: what was found.
        subtitle: of which log and policy.
    """
    return page(
        "sources_page.html.j2",
        TITLE,
        subtitle=subtitle,
        answers=answers(report),
        tables=(_sources(report), _features(report)),
    )


def sources_markdown(report: SourcesReport, subtitle: str) -> str:
    """The same as text."""
    lines = [f"# {TITLE}", "", subtitle, ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(report)]
    for table in (_sources(report), _features(report)):
        lines += grid(table)
    return "\n".join(lines) + "\n"


def answers(report: SourcesReport) -> list[tuple[str, str]]:
    """The first screen: what costs to lose, what no decision hangs on."""
    costly = [one for one in report.sources if one.loss is not None and one.loss.lower > 0.0]
    if costly:
        told = ", ".join(f"{one.source} {_shown(one.loss)}" for one in costly)
        worth = f"By the log it costs to lose {told} ({report.unit} per episode)."
    else:
        worth = "By the log none is known to be worth anything: every interval holds 0."
    unbound = report.unbound
    bound = (
        f"{count(len(unbound))} of {count(len(report.features))} features change no decision of "
        f"{report.policy}: {', '.join(f'`{name}`' for name in unbound)}. What changes no action "
        "is reporting."
        if unbound
        else f"Every feature moves some decision of {report.policy}."
    )
    return [(TITLE, worth), ("What changes no action?", bound)]


def _sources(report: SourcesReport) -> Table:
    known = any(one.true_loss is not None for one in report.sources)
    columns = [
        *("Source", "Features", "Decisions that know it", "Actions that change"),
        f"Loss by the log, {report.unit}",
        *([f"True loss, {report.unit}"] if known else []),
    ]
    rows = tuple(_row(one, known) for one in report.sources)
    caption = (
        f"The policy learned again without the source, held against itself; intervals of "
        f"{percent(report.level)} for all sources together"
    )
    return Table(caption, tuple(columns), rows)


def _row(one: SourceValue, known: bool) -> tuple[str, ...]:
    return (
        one.source,
        count(len(one.columns)),
        MISSING if one.knows is None else percent(one.knows),
        percent(one.sensitivity.changed),
        _shown(one.loss),
        *([_shown(one.true_loss)] if known else []),
    )


def _features(report: SourcesReport) -> Table:
    rows = tuple(
        (
            one.feature,
            ", ".join(one.sources) or MISSING,
            percent(one.sensitivity.changed),
            percent(one.sensitivity.moved),
            "yes" if one.sensitivity.bound else "no",
        )
        for one in report.features
    )
    columns = ("Feature", "Sources", "Actions that change", "Probability that moves", "Bound")
    caption = "What becomes of decisions when a feature is held at its usual value"
    return Table(caption, columns, rows, frozenset({1}))


def _shown(loss: Loss | None) -> str:
    if loss is None:
        return MISSING
    return Bounded(loss.value, loss.lower, loss.upper).shown(signed=True)
