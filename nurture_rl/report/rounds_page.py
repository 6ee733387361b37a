"""A programme that is run in rounds, for people: what ran, what was let through, what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nurture_rl.report import drawing
from nurture_rl.report.drawing import inline, legend_below
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, Bounded, count, percent, shown
from nurture_rl.report.rounds_source import PlayedFit, RoundRecord, RoundsRecord, ValueBand
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

GATE_WORDS = {
    "released": "released",
    "rules_are_enough": "refused, rules are enough",
    "refused": "refused",
}

_TRUSTED = "How far is the fitted world to be trusted?"
_WORTH_THERE = "What is it worth in the fitted world?"


def rounds_page(record: RoundsRecord) -> str:
    """The page; the same record gives the same bytes."""
    return page(
        "rounds_page.html.j2",
        _title(record),
        subtitle=_subtitle(record),
        answers=answers(record),
        figure=Markup(inline(_picture(record))),
        tables=_tables(record),
        drift=_drift(record),
    )


def rounds_markdown(record: RoundsRecord) -> str:
    """The same without the picture."""
    lines = [f"# {_title(record)}", "", _subtitle(record), ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(record)]
    for table in _tables(record):
        lines += grid(table)
    lines += ["", *(f"- {line}" for line in _drift(record))]
    return "\n".join(lines) + "\n"


def _title(record: RoundsRecord) -> str:
    return f"{record.title}: {len(record.rounds)} rounds"


def _subtitle(record: RoundsRecord) -> str:
    counted = {
        "mixture": "all rounds are one log, made by the mixture of their policies",
        "own": "all rounds are one log, each row with the propensity it was logged with",
        "none": "each round is judged by its own contacts alone",
    }[record.earlier]
    if record.challenger_share > 0.0:
        counted += f"; a challenger takes {percent(record.challenger_share)} of the exploration"
    played = f"SYNTHETIC: played in the reference world of `{record.journey}`"
    if record.world is not None:
        played = f"A PLAN AND NO PROOF: played in a world fitted to the log `{record.world.log}`"
    return f"{played}; {counted}; the gates of all rounds hold together at {percent(record.level)}"


def answers(record: RoundsRecord) -> list[tuple[str, str]]:
    """The first screen."""
    first, last = record.rounds[0], record.rounds[-1]
    moved = [one for one in record.rounds if one.next_programme != one.programme]
    found = [] if record.world is None else [(_TRUSTED, _trusted(record.world))]
    found += [
        ("What runs now?", f"{last.next_programme}, after {len(record.rounds)} rounds."),
        (
            "What did the gate do?",
            "; ".join(f"round {one.number}: {one.next_programme}" for one in moved) + "."
            if moved
            else f"It let nothing through: {last.next_programme} ran from the first round on.",
        ),
        (
            "What did the rounds earn?",
            f"{_shown(first.earned)} {record.unit} a contact in round 1, {_shown(last.earned)} in "
            f"round {last.number}, exploration included.",
        ),
    ]
    if first.truth is not None and last.truth is not None:
        begun, reached = first.truth.programme, last.truth.next_programme
        found.append(
            (
                "What is it truly worth?" if record.world is None else _WORTH_THERE,
                f"{shown(begun.value)} {record.unit} a contact at the start, "
                f"{shown(reached.value)} now, without exploration.",
            )
        )
    found.append(("What did exploration cost?", _cost(record)))
    if last.next_gain is not None:
        words = f"A gain of {shown(last.next_gain)} {record.unit} a contact or more."
        found.append(("What would one more round show?", words))
    return found


def _trusted(world: PlayedFit) -> str:
    """The word of the reality gap, with what speaks against more trust."""
    against = f" Against it: {' '.join(world.causes)}" if world.causes else ""
    return (
        f"`{world.trust}`: {world.sentence}{against} What the world has wrong is wrong in all that "
        "follows; no gate of yours has answered."
    )


def _cost(record: RoundsRecord) -> str:
    """Value lost in all rounds, which only a world that knows the truth can tell."""
    known = [
        (one.truth.exploration_cost.value * one.contacts, one.contacts)
        for one in record.rounds
        if one.truth is not None
    ]
    if not known:
        return "Nobody can say: the truth is not known."
    lost, contacts = (sum(part) for part in zip(*known, strict=True))
    where = "in truth" if record.world is None else "in the fitted world"
    return f"{shown(lost)} {record.unit} {where}, {shown(lost / contacts)} a contact."


def _tables(record: RoundsRecord) -> list[Table]:
    return [_ran(record), _judged(record), _reasons(record), _truths(record)]


def _ran(record: RoundsRecord) -> Table:
    names = tuple(dict.fromkeys(name for one in record.rounds for name in one.amounts))
    head = ("Round", "Ran", "Exploration", "Tried in it", "Contacts", "Earned a contact")
    rows = tuple(
        (
            str(one.number),
            one.programme,
            percent(one.exploration),
            one.tried or MISSING,
            count(one.contacts),
            _shown(one.earned),
            *(shown(one.amounts.get(name)) for name in names),
        )
        for one in record.rounds
    )
    caption = f"What ran, {record.unit} and counts per contact of the round"
    return Table(caption, (*head, *(name.capitalize() for name in names)), rows, frozenset({1, 3}))


def _judged(record: RoundsRecord) -> Table:
    head = (
        *("Round", "Challenger", "Contacts that judged", "Programme, by the log"),
        *("Challenger, by the log", "Gain", "Effective sample", "Gate", "Runs next"),
        "Gain that one more round would show",
    )
    rows = tuple(
        (
            str(one.number),
            one.challenger or MISSING,
            count(one.held_out),
            _shown(one.programme_value),
            _shown(one.challenger_value),
            _shown(one.gain, signed=True),
            shown(one.effective_sample),
            GATE_WORDS.get(one.verdict, one.verdict),
            one.next_programme,
            shown(one.next_gain),
        )
        for one in record.rounds
    )
    caption = f"What the gate was asked, with the exploration of the round, {record.unit} a contact"
    return Table(caption, head, rows, frozenset({1, 7, 8}))


def _reasons(record: RoundsRecord) -> Table:
    rows = tuple(
        (f"{one.number} ({place})", reason)
        for one in record.rounds
        for place, reason in enumerate(one.reasons, 1)
    )
    caption = "Why the gate refused; champion is what ran, with its exploration"
    return Table(caption, ("Round", "Reason"), rows, frozenset({1}))


def _truths(record: RoundsRecord) -> Table:
    head = (
        *("Round", "Ran", "Without exploration", "With exploration", "Lost by exploring"),
        *("Challenger", "Runs next", "Change"),
    )
    rows = tuple(
        (
            str(one.number),
            one.programme,
            _shown(one.truth.programme),
            _shown(one.truth.explored),
            _shown(one.truth.exploration_cost),
            _shown(one.truth.challenger),
            _shown(one.truth.next_programme),
            _shown(one.truth.change, signed=True),
        )
        for one in record.rounds
        if one.truth is not None
    )
    told = "The truth that nobody was shown" if record.world is None else "In the fitted world"
    caption = f"{told}, {record.unit} per contact"
    return Table(caption, head, rows, frozenset({1}))


def _drift(record: RoundsRecord) -> list[str]:
    return [f"Drift in round {one.number}: {line}" for one in record.rounds for line in one.drift]


def _shown(band: ValueBand | None, signed: bool = False) -> str:
    if band is None:
        return MISSING
    return Bounded(band.value, band.lower, band.upper).shown(signed)


def _picture(record: RoundsRecord) -> bytes:
    """Value by round with bands: by the log, what was earned, and the truth where it is known."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        rounds = record.rounds
        _band(axes, rounds, "what ran, by the log of all rounds", drawing.BLUE)
        _points(axes, rounds)
        _truth_line(axes, rounds)
        for one in rounds:
            if one.next_programme != one.programme:
                axes.axvline(one.number + 0.5, color=drawing.GREEN, linestyle=":", linewidth=1)
        axes.set_xticks([one.number for one in rounds])
        axes.set_xlabel("round (dotted: the gate let another programme run)")
        axes.set_ylabel(f"{record.unit} per contact")
        legend_below(figure, axes, 2)

    return drawing.draw("value-by-round", 4.2, paint)


def _band(axes: Axes, rounds: Sequence[RoundRecord], label: str, colour: str) -> None:
    known = [(one.number, one.programme_value) for one in rounds if one.programme_value is not None]
    if not known:
        return
    at = [number for number, _ in known]
    axes.plot(at, [band.value for _, band in known], color=colour, marker="o", label=label)
    lower, upper = ([getattr(band, end) for _, band in known] for end in ("lower", "upper"))
    axes.fill_between(at, lower, upper, color=colour, alpha=0.15, linewidth=0)


def _points(axes: Axes, rounds: Sequence[RoundRecord]) -> None:
    earned = [one.earned for one in rounds]
    below = [band.value - band.lower for band in earned]
    above = [band.upper - band.value for band in earned]
    axes.errorbar(
        [one.number + 0.08 for one in rounds],
        [band.value for band in earned],
        yerr=[below, above],
        fmt="s",
        color=drawing.ORANGE,
        capsize=3,
        label="earned in the round, exploration included",
    )


def _truth_line(axes: Axes, rounds: Sequence[RoundRecord]) -> None:
    known = [(one.number, one.truth) for one in rounds if one.truth is not None]
    if not known:
        return
    last, truth = known[-1]
    at = [*(number for number, _ in known), last + 1]
    values = [*(one.programme.value for _, one in known), truth.next_programme.value]
    axes.step(
        at,
        values,
        where="mid",
        color=drawing.INK,
        label="value of the programme without exploration, in the world that is played",
        linewidth=1.2,
    )
