"""A log without decisions for people: what it tells, what it does not, which experiment would."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.figure import Figure

from nurture_rl.appraisal.first_look import SOURCES, FigureCount, FirstLook
from nurture_rl.report import drawing
from nurture_rl.report.drawing import inline
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, count, percent, shown
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

_DAY = 10  # characters of an ISO moment
_YEAR, _TEN_YEARS = 52, 520  # weeks


def first_look_page(look: FirstLook, block: str, notes: list[str]) -> str:
    """The page; the same look gives the same bytes.

    Args:
        look: what was found.
        block: the experiment for the journey file.
        notes: of the ingestion.
    """
    return page(
        "first_look_page.html.j2",
        f"First look: {look.title}",
        subtitle=_span(look),
        answers=_answers(look),
        figure=Markup(inline(_picture(look))) if len(look.types) > 1 else None,
        tables=_tables(look),
        missing=_missing(look),
        block=block,
        notes=notes,
    )


def first_look_markdown(look: FirstLook, block: str, notes: list[str]) -> str:
    """The same without the picture."""
    lines = [f"# First look: {look.title}", "", _span(look), ""]
    lines += [f"- **{question}** {answer}" for question, answer in _answers(look)]
    for table in [*_tables(look), _missing(look)]:
        lines += grid(table)
    lines += ["", "## The first experiment", "", "```yaml", block, "```", ""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _span(look: FirstLook) -> str:
    return f"{look.first_at[:_DAY]} to {look.last_at[:_DAY]}, {count(look.contacts)} contacts"


def _answers(look: FirstLook) -> list[tuple[str, str]]:
    star, plan = look.figures[0], look.experiment
    present = {one.type for one in look.types}
    has = [name for name, kinds in SOURCES.items() if present & set(kinds)]
    events = sum(one.events for one in look.types)
    rate = (
        f"the log has none to count; {percent(plan.rate)} is assumed"
        if plan.assumed
        else f"{_share(star)} of {count(star.watched)} contacts watched for a whole journey"
    )
    return [
        (
            "What is known?",
            f"{count(events)} events of {count(look.with_events)} contacts, from "
            f"{' and '.join(has) or 'no source of the journey'}. "
            f"{star.name.capitalize()}: {rate}.",
        ),
        (
            "What is not?",
            "What any policy does. The log has no decisions, so nothing here is the effect of "
            f"a mail. Missing: {', '.join(one.what for one in look.missing)}.",
        ),
        (
            "What next?",
            f"Run the experiment below: {count(plan.units)} contacts find a rise in {star.name} "
            f"from {percent(plan.rate)} to {percent(plan.rate + plan.worth)}, four times of five. "
            f"At {shown(plan.per_week)} new contacts a week that takes {_long(plan.weeks)}."
            f"{_sooner(look)}",
        ),
    ]


def _long(weeks: int) -> str:
    return f"{count(weeks)} weeks" if weeks <= _TEN_YEARS else "more than ten years"


def _sooner(look: FirstLook) -> str:
    """What to do where the answer would come too late."""
    sizes = look.experiment.sizes
    if sizes[0].weeks <= _YEAR:
        return ""
    best = min(sizes, key=lambda one: one.weeks)
    return (
        f" That is long for a list of this size: look for a larger gain, or judge by what comes "
        f"sooner. `{best.figure}` needs {_long(best.weeks)} for a gain of {percent(best.gain)}."
    )


def _share(one: FigureCount) -> str:
    if not one.watched:
        return MISSING
    middle = percent(one.reached / one.watched)
    return f"{middle} ({percent(one.lower)} to {percent(one.upper)})"


def _tables(look: FirstLook) -> list[Table]:
    types = Table(
        "Events",
        ("Type", "Events", "Contacts", "By programs"),
        tuple(
            (one.type, count(one.events), count(one.contacts), percent(one.machine))
            for one in look.types
        ),
    )
    stages = Table(
        "Stages: how many contacts came to each, and how long after their first event",
        ("Stage", "Contacts", "Of all", "Median days"),
        tuple(
            (
                one.stage,
                count(one.contacts),
                percent(one.contacts / max(look.with_events, 1)),
                MISSING if one.median_days is None else shown(one.median_days),
            )
            for one in look.stages
        ),
    )
    figures = Table(
        "Key figures within a journey's length of the first event, of contacts watched so long",
        ("Key figure", "Contacts", "Watched", "Share, with an exact 95 % interval"),
        tuple(
            (one.name, count(one.reached), count(one.watched), _share(one)) for one in look.figures
        ),
    )
    people = Table(
        "Contacts",
        ("Known of them", "Contacts", "Share"),
        tuple(
            (name, count(n), percent(n / max(look.contacts, 1)))
            for name, n in (
                ("any event", look.with_events),
                ("consent", look.with_consent),
                ("time zone", look.with_zone),
                ("account", look.with_account),
            )
        ),
    )
    sizes = Table(
        "What an experiment needs to find a gain four times of five",
        ("Figure", "Now", "Gain", "Contacts in all arms", "As contacts come now"),
        tuple(
            (
                one.figure,
                percent(one.rate),
                percent(one.gain),
                count(one.units),
                _long(one.weeks),
            )
            for one in look.experiment.sizes
        ),
        frozenset({4}),
    )
    return [sizes, figures, *([stages] if look.stages else []), types, people]


def _missing(look: FirstLook) -> Table:
    rows = tuple((one.what, one.why, one.mend) for one in look.missing)
    if look.silent:
        rows += (
            (
                f"{len(look.silent)} signals",
                f"no event of the log is one of {', '.join(f'`{name}`' for name in look.silent)}",
                "map the words of your files to their types, topics and stages",
            ),
        )
    return Table(
        "What the log does not tell",
        ("Missing", "What cannot be said without it", "How to get it"),
        rows,
        frozenset({1, 2}),
    )


def _picture(look: FirstLook) -> bytes:
    """Contacts with each type of event."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        rows = list(reversed(look.types))
        axes.barh([one.type for one in rows], [one.contacts for one in rows], color=drawing.BLUE)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("contacts with at least one")

    return drawing.draw("contacts-by-type", 1.0 + 0.35 * len(look.types), paint)
