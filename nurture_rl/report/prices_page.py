"""What limits on mails and harms cost, for people."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.figure import Figure

from nurture_rl.appraisal.price_findings import PriceFindings, Tried, UseLimit, most_of
from nurture_rl.report import drawing
from nurture_rl.report.drawing import inline
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, shown
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

TITLE = "What do limits cost?"


def prices_page(found: PriceFindings, subtitle: str, by_log: str, run_it: str | None) -> str:
    """The page; the same findings give the same bytes.

    Args:
        found: by the search.
        subtitle: of which log.
        by_log: what the held-out contacts say of the policy that was taken.
        run_it: the command that asks the gate for it; None: no policy keeps to the limits.
    """
    return page(
        "prices_page.html.j2",
        TITLE,
        subtitle=subtitle,
        answers=answers(found, by_log),
        run_it=run_it,
        limits=_limits(found),
        figure=Markup(inline(_picture(found))),
        frontier=_frontier(found),
        tried=_tried(found),
    )


def prices_markdown(found: PriceFindings, subtitle: str, by_log: str, run_it: str | None) -> str:
    """The same without the picture."""
    lines = [f"# {TITLE}", "", subtitle, ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(found, by_log)]
    lines += ["", "```", run_it, "```"] if run_it else []
    tables = (_limits(found), _frontier(found), _tried(found))
    return "\n".join([*lines, *(line for one in tables for line in grid(one))]) + "\n"


def answers(found: PriceFindings, by_log: str) -> list[tuple[str, str]]:
    """The first screen: what each limit costs, which policy keeps to them, what the log says."""
    binding = [
        _binding(found, one, price)
        for one, price in zip(found.limits, found.prices, strict=True)
        if price > 0.0
    ]
    if not found.limits:
        costs = "No limit was asked for; the picture shows what fewer events would cost."
    elif not binding:
        costs = "Nothing: on average, the best that was found keeps to every limit without a price."
    else:
        costs = "; ".join(binding) + "."
    return [
        ("What do the limits cost?", costs),
        ("Which policy keeps to them?", _choice(found)),
        ("What does the log say of it?", by_log),
    ]


def _binding(found: PriceFindings, limit: UseLimit, price: float) -> str:
    """What a limit that binds costs; one more is worth the same over a week or a contact."""
    of = "a week" if limit.per_week is not None else "per contact"
    return f"{limit.name}: one more {limit.counts} {of} would gain {_money(found, price)}"


def _choice(found: PriceFindings) -> str:
    nothing = [one.name for one in found.limits if one.is_nothing]
    if nothing:
        return (
            f"None can be shown to: of {' and '.join(nothing)} nothing is allowed, and no upper "
            "bound of a count is 0. Ask for a little, or take the action out of the journey."
        )
    if found.chosen is None or found.judged is None:
        return (
            "None that was learned, by the upper bounds. Play more contacts (simulation.contacts), "
            "raise a limit, or let policies go farther from the log (data.trust.max_ratio)."
        )
    worth = f"{_money(found, found.judged.value)} a contact"
    at = _prices(found.tried[found.chosen])
    best = f"the best mixture within the limits was worth {_money(found, found.best)}"
    if not found.is_kept:
        return (
            f"None for sure: {found.learner} learned at {at} is worth {worth}, and other contacts "
            "of the learned world do not confirm that it keeps to every limit."
        )
    return f"{found.learner}, learned at {at}: {worth} in the learned world; {best} there."


def _limits(found: PriceFindings) -> Table:
    judged = found.judged
    rows = []
    for at, (limit, price) in enumerate(zip(found.limits, found.prices, strict=True)):
        uses = (MISSING, MISSING)
        if judged is not None:
            uses = (shown(judged.use[at]), shown(judged.upper[at]))
        room = shown(limit.at_most)
        if limit.per_week is not None:
            room += f" ({shown(limit.per_week)} a week, by {shown(found.entering)} contacts)"
        if limit.per == "send":
            room += " per mail"
            room += "" if judged is None else f" ({shown(most_of(limit, judged.sends))} a contact)"
        rows.append((limit.name, room, *uses, shown(price)))
    head = ("Limit", "At most", "Used", "Upper bound", f"Price, {found.unit} per event or hour")
    return Table("Limits per contact, and what one more is worth", head, tuple(rows))


def _frontier(found: PriceFindings) -> Table:
    head = (f"{found.drawn} per contact", f"Value, {found.unit}", "One more is worth")
    rows = tuple((shown(one.budget), shown(one.value), shown(one.price)) for one in found.frontier)
    return Table("The most that mixtures of these policies earn by budget", head, rows)


def _tried(found: PriceFindings) -> Table:
    head = (
        "Policy",
        "Prices",
        f"{found.drawn} per contact",
        f"Value, {found.unit}",
        "Keeps to all",
    )
    rows = tuple(
        (
            one.name,
            _prices(one),
            shown(one.used.mixed),
            f"{shown(one.used.value)} ± {shown(one.used.error)}",
            "yes" if one.used.kept(found.limits) else "no",
        )
        for one in found.tried
    )
    return Table("Policies that were played in the learned world", head, rows, frozenset({1}))


def _prices(one: Tried) -> str:
    alike: dict[float, list[str]] = {}
    for name, price in one.prices.items():
        alike.setdefault(price, []).append(name)
    told = [f"{shown(price)} for {', '.join(names)}" for price, names in alike.items()]
    return "; ".join(told) or "no price"


def _money(found: PriceFindings, value: float) -> str:
    return f"{shown(value)} {found.unit}"


def _picture(found: PriceFindings) -> bytes:
    """Value by events per contact: the frontier, what was tried, and what was taken."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        line = found.frontier
        axes.plot(
            [one.budget for one in line],
            [one.value for one in line],
            color=drawing.BLUE,
            label="best mixture",
        )
        programs = [one for one in found.tried if one.name != found.policy]
        learned = [one for one in found.tried if one.name == found.policy]
        for some, colour, marker, label in (
            (programs, drawing.ORANGE, "s", "programmes"),
            (learned, drawing.SKY, "o", f"{found.learner} at a price"),
        ):
            axes.errorbar(
                [one.used.mixed for one in some],
                [one.used.value for one in some],
                [2.0 * one.used.error for one in some],
                fmt=marker,
                color=colour,
                mec=drawing.INK,
                label=label,
            )
        for one in programs:
            axes.annotate(
                one.name, (one.used.mixed, one.used.value), (6, 4), textcoords="offset points"
            )
        if found.chosen is not None:
            taken = found.tried[found.chosen].used
            axes.plot(
                taken.mixed,
                taken.value,
                "o",
                ms=16,
                mfc="none",
                mec=drawing.VERMILION,
                mew=2,
                label="taken",
            )
        axes.set_xlabel(f"{found.drawn} per contact")
        axes.set_ylabel(f"value per contact, {found.unit}")
        axes.legend()

    return drawing.draw("frontier", 4.2, paint)
