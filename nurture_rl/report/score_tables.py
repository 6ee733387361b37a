"""Tables of scores beside chances: topics, fatigue, parts, the surrogate index, what reads them."""

from __future__ import annotations

from nurture_rl.predictions.contact_behaviour import ToldMailing
from nurture_rl.predictions.delayed_outcomes import ToldSurrogate
from nurture_rl.predictions.score_bindings import ScoreBinding
from nurture_rl.report.numbers import MISSING, count, percent, shown
from nurture_rl.report.tables import Table
from nurture_rl.report.told_predictions import ToldPredictions, ToldWhatIf

_STRONGEST = 8  # signals of the index that are told


def score_tables(told: ToldPredictions) -> list[Table]:
    """Every table that has rows, in the order of the page."""
    tables = [_parts(told), *_mail(told.mailing), *_surrogate(told.surrogate)]
    tables += [_bindings(told.bindings)]
    tables += [_what_if(told.what_if)] if told.what_if is not None else []
    return [one for one in tables if one.rows]


def _parts(told: ToldPredictions) -> Table:
    return Table(
        f"What groups of features add to {told.parts_of}, and the chance of an average contact",
        ("Group", "Mean size"),
        tuple((name, percent(size)) for name, size in told.parts.items()),
    )


def _mail(mailing: ToldMailing) -> list[Table]:
    topics = Table(
        f"Topics by what comes of them, a next step within 7 days: {mailing.topics_by}",
        ("Topic", "Mails", "Next step", "Standard error", "Click or answer, for comparison"),
        tuple(
            (
                one.topic,
                count(one.mails),
                percent(one.progress),
                percent(one.stderr),
                percent(one.clicks),
            )
            for one in mailing.topics
        ),
    )
    borne = Table(
        f"Mails a week that half of a segment bears: {mailing.fatigue_by}",
        ("Segment", "Mails a week"),
        tuple((name, shown(weekly)) for name, weekly in mailing.segments.items())
        or (("nothing is told", MISSING),),
    )
    return [topics, borne]


def _surrogate(told: ToldSurrogate | str) -> list[Table]:
    if isinstance(told, str):
        row = (("nothing is told", told),)
        return [Table("An early index for the north star", ("Index", "Why"), row, frozenset({1}))]
    effects = Table(
        f"What first mails do to an index of the first {told.early_days:g} days, and to the north "
        f"star within {told.late_days:g}: {told.verdict}",
        ("Choice", "Contacts", "On the index, 95 %", "On the outcome, 95 %", "Signs"),
        tuple(
            (
                one.choice,
                count(one.contacts),
                f"{shown(one.on_index)} [{shown(one.index_low)}, {shown(one.index_high)}]",
                f"{shown(one.on_outcome)} [{shown(one.outcome_low)}, {shown(one.outcome_high)}]",
                one.verdict,
            )
            for one in told.effects
        ),
    )
    weights = Table(
        f"The index's strongest signals, fitted to {count(told.fitted_to)} matured episodes",
        ("Signal", "Log-odds per standard deviation"),
        tuple((name, shown(w, signed=True)) for name, w in list(told.weights.items())[:_STRONGEST]),
    )
    return [effects, weights]


def _bindings(bindings: tuple[ScoreBinding, ...]) -> Table:
    return Table(
        "What each score decides",
        ("Score", "Verdict", "Read by", "Decisions of the rules that change without it"),
        tuple(
            (one.score, one.verdict, ", ".join(one.read_by) or MISSING, percent(one.changed))
            for one in bindings
        ),
        frozenset({1, 2}),
    )


def _what_if(told: ToldWhatIf) -> Table:
    added = ", ".join(f"{events} {name}" for name, events in told.added.items())
    return Table(
        f"What if contact {told.contact} had {added} more",
        ("Score", "Now", "Then"),
        tuple(
            (name, shown(now), shown(told.after[name]) if name in told.after else "over")
            for name, now in told.before.items()
        ),
    )
