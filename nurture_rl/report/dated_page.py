"""A dated plan of rounds, for people: what happens when, what it costs and what it can show."""

from __future__ import annotations

from nurture_rl.report.dated_source import ComingRound, DatedPlan, DoneRound
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, Bounded, count, percent, shown
from nurture_rl.report.rounds_page import GATE_WORDS
from nurture_rl.report.rounds_source import ValueBand
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page
from nurture_rl.wording import counted

_NOT_KNOWN = "unknown"
REFUSALS = (
    (
        "The log does not carry the policy",
        "What runs goes on, and the next round adds contacts. If one more round is not enough, "
        "explore more (`exploration`), or learn nearer to what runs (`data.trust.max_ratio`).",
    ),
    (
        "It is carried, and not shown to be better",
        "What runs goes on; the smallest gain that the next round shows is in the plan. If that is "
        "more than anybody hopes for, let a round collect longer (`weeks`), or stop.",
    ),
    (
        "Rules are enough",
        "The rules run next where the fitted world puts them above what runs. Nothing learned is "
        "needed until a later round shows more.",
    ),
    (
        "The world is not to be trusted",
        "Read the page of the reality gap and mend its causes; a world that may not rank vetoes. "
        "More contacts alone seldom help.",
    ),
    (
        "A limit on harm may be broken, or has no bound",
        "Keep to the limit: learn nearer to what runs, or wait until the bound is narrow enough. "
        "Do not widen a limit after its answer.",
    ),
    (
        "A check finds wrong numbers",
        "Nothing is served on such a log. `nurture doctor` says what is wrong and how to mend it; "
        "then ask the gate again on the same contacts.",
    ),
)
RULES_OF_MOVING = (
    "Champion and challenger move by the gate alone: a policy that it let through runs next, or "
    "the rules where it found them to be enough. Neither this plan nor an early look moves them.",
    "More rounds ask for more evidence in each: the gates' levels are shared out among all that "
    "are planned, so that they hold together.",
    "A gate that is asked before outcomes are known judges by the contacts whose outcomes are, and "
    "by no other: it has fewer than planned, and may say that it cannot tell.",
    "Drift is looked for in each round's log: who comes (features of first decisions), what is "
    "earned, and the chances that were logged, each week against the others. Where the programme "
    "goes on unchanged, what it earned in two rounds should differ by chance alone.",
    "Contacts who come while outcomes are awaited go on under what runs, and are judged with the "
    "next round's.",
)


def dated_page(plan: DatedPlan) -> str:
    """The page; the same plan gives the same bytes."""
    return page(
        "dated_page.html.j2",
        _title(plan),
        subtitle=_subtitle(plan),
        answers=dated_answers(plan),
        tables=_tables(plan),
        rules=RULES_OF_MOVING,
        drift=plan.prospects.drift,
    )


def dated_markdown(plan: DatedPlan) -> str:
    """The same as text."""
    lines = [f"# {_title(plan)}", "", _subtitle(plan), ""]
    lines += [f"- **{question}** {answer}" for question, answer in dated_answers(plan)]
    for table in _tables(plan):
        lines += grid(table)
    lines += ["", "## How rounds go", "", *(f"- {line}" for line in RULES_OF_MOVING)]
    if plan.prospects.drift:
        lines += ["", "## Drift in the log", "", *(f"- {line}" for line in plan.prospects.drift)]
    return "\n".join(lines) + "\n"


def _title(plan: DatedPlan) -> str:
    return f"{plan.title}: a plan of {plan.count} rounds"


def _subtitle(plan: DatedPlan) -> str:
    return (
        f"From {plan.start} on, {plan.weekly:g} contacts a week, "
        f"{counted(plan.weeks, 'week')} a round "
        f"({plan.weeks_why}). By the log of {plan.prospects.log}. A plan and no proof: its "
        "figures are expectations, and each gate is asked on what really was logged."
    )


def dated_answers(plan: DatedPlan) -> list[tuple[str, str]]:
    """The first screen."""
    return [
        ("What runs now?", _runs(plan)),
        ("What comes next?", _next(plan)),
        ("When can it be judged?", _known(plan)),
        ("What does exploration cost?", _cost(plan)),
        ("What does the gate need?", _needs(plan)),
        ("What can the next round show?", _shows(plan)),
    ]


def _runs(plan: DatedPlan) -> str:
    if not plan.done:
        return f"{_first_upper(plan.programme)}; no round is done."
    last = plan.done[-1]
    return (
        f"{_first_upper(plan.programme)}, since {last.served}. {len(plan.done)} of {plan.count} "
        f"rounds are done; the last answer was: {GATE_WORDS.get(last.verdict, last.verdict)}."
    )


def _next(plan: DatedPlan) -> str:
    if not plan.coming:
        return "Nothing: all rounds are done. Others are planned in a folder of their own (`out`)."
    one = plan.coming[0]
    return (
        f"Round {one.number} collects from {one.collect_from} to {one.collect_to}; the gate "
        f"answers by {one.gate_on}, and what it lets through runs from {one.serve_on} on. Ask it "
        f"with `release.level={plan.prospects.level:.4g}`, so that all {plan.count} gates hold "
        f"together at {percent(plan.level)}."
    )


def _known(plan: DatedPlan) -> str:
    days = plan.horizon_days + plan.late_days
    late = ""
    if plan.late_days:
        late = f" and {counted(plan.late_days, 'day')} until the last record is in"
    told = f"A contact's outcomes are known {days} days after it came ({plan.horizon_days} days of "
    told += f"the journey{late})"
    if not plan.coming:
        return f"{told}."
    one = plan.coming[0]
    return (
        f"{told}: those of round {one.number}, which collects until {one.collect_to}, on "
        f"{one.known_on}. Asked sooner, the gate leaves out whose outcomes are not known."
    )


def _cost(plan: DatedPlan) -> str:
    told, logged = plan.prospects, plan.prospects.exploration
    parts = [] if logged is None else [f"{percent(logged)} of the decisions explored so far"]
    parts += [
        f"exploring {percent(one.share)} costs {_band(one.cost)} {plan.unit} a contact"
        if one.cost is not None
        else f"what exploring {percent(one.share)} costs is unknown: {one.why}"
        for one in told.prices
    ]
    if told.saving is not None:
        parts.append(
            f"a tenth less of it would earn {_band(told.saving, signed=True)} {plan.unit} a contact"
        )
    return f"{_first_upper('; '.join(parts))}." if parts else f"Unknown: {told.why}."


def _needs(plan: DatedPlan) -> str:
    star = plan.prospects.star
    if star.worth is None:
        return f"Unknown for {star.name}: {star.why}."
    parts = []
    if star.by_log is not None:
        rough = " (roughly, for the log does not carry such a policy yet)" * bool(
            plan.prospects.why
        )
        parts.append(f"about {count(star.by_log)} contacts in all{rough}")
    if star.by_arms is not None:
        parts.append(f"{count(star.by_arms)} where chance deals contacts to two arms instead")
    rate = "" if star.rate is None else f", {shown(star.rate)} a contact now"
    needs = f"{'; '.join(parts)}." if parts else "unknown."
    return f"To show {shown(star.worth)} more of {star.name} a contact{rate}: {needs}"


def _shows(plan: DatedPlan) -> str:
    if not plan.coming:
        return "No round is planned."
    one, told = plan.coming[0], plan.prospects
    if one.gain is None:
        return f"Unknown: {told.why or 'the log does not tell'}."
    rough = f" Roughly: {told.why}." if told.why else ""
    return (
        f"A gain of {shown(one.gain)} {plan.unit} a contact, with 80 % power, by "
        f"{count(one.judged_by)} contacts; of {told.star.name} {shown(one.star_gain)}. The "
        f"effective sample of `{told.policy}` in the present region (ratio {plan.max_ratio}) "
        f"is then {count(one.effective_own)} to {count(one.effective_all)} episodes.{rough}"
    )


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tables(plan: DatedPlan) -> list[Table]:
    return [_done(plan), _days(plan), _judges(plan), _refusals()]


def _done(plan: DatedPlan) -> Table:
    rows = tuple(_done_row(one) for one in plan.done)
    head = (
        *("Round", "Ran", "Collected from", "Gate answered", "Candidate", "Gate", "Why"),
        *("Contacts of the log", "Runs next", "From"),
    )
    return Table("Rounds that are done", head, rows, frozenset({1, 2, 3, 4, 5, 6, 8, 9}))


def _done_row(one: DoneRound) -> tuple[str, ...]:
    why = " ".join(one.reasons) or "it passed"
    if one.early_days:
        why += f" Asked {counted(one.early_days, 'day')} before all outcomes were to be known."
    if one.low_level is not None:
        why += (
            f" Asked at release.level={one.low_level:.4g}, which is less than was planned: all "
            "gates hold together at less."
        )
    return (
        *(str(one.number), one.programme, one.collected_from, one.decided),
        *(one.candidate or MISSING, GATE_WORDS.get(one.verdict, one.verdict), why),
        *(count(one.contacts), one.next_programme, one.served),
    )


def _days(plan: DatedPlan) -> Table:
    head = (
        *("Round", "Collect from", "Collect to", "Outcomes known", "Learn from", "Gate by"),
        *("Serve from", "New contacts", "Explores", "It costs"),
    )
    known = {one.share: one for one in plan.prospects.prices}
    rows = tuple(
        (
            *(str(one.number), one.collect_from, one.collect_to, one.known_on, one.known_on),
            *(one.gate_on, one.serve_on, count(one.contacts)),
            _NOT_KNOWN if one.exploration is None else percent(one.exploration),
            _price(plan, one, known[one.exploration].cost if one.exploration in known else None),
        )
        for one in plan.coming
    )
    caption = f"Rounds that are planned; costs in {plan.unit}, for all contacts of the round"
    return Table(caption, head, rows, frozenset({1, 2, 3, 4, 5, 6}))


def _price(plan: DatedPlan, one: ComingRound, cost: ValueBand | None) -> str:
    if cost is None:
        return _NOT_KNOWN
    n = one.contacts
    return _band(ValueBand(n * cost.value, n * cost.lower, n * cost.upper))


def _judges(plan: DatedPlan) -> Table:
    head = (
        *("Round", "Contacts of the log", "Effective sample, its own", "Effective sample, all"),
        *("Gain that is shown", f"Gain in {plan.prospects.star.name}", "Enough for the gain asked"),
    )
    words = {None: _NOT_KNOWN, True: "yes", False: "not yet"}
    rows = tuple(
        (
            *(str(one.number), count(one.judged_by)),
            *(_or_unknown(one.effective_own), _or_unknown(one.effective_all)),
            *(_or_unknown(one.gain), _or_unknown(one.star_gain), words[one.enough]),
        )
        for one in plan.coming
    )
    caption = (
        f"What each gate can judge; gains with 80 % power, in {plan.unit} and events a contact. "
        "Effective samples of all contacts hold while the same programme runs; after a release "
        "old contacts count for less"
    )
    return Table(caption, head, rows, frozenset({6}))


def _or_unknown(value: float | None) -> str:
    return _NOT_KNOWN if value is None else shown(value)


def _refusals() -> Table:
    caption = "What to do when the gate refuses"
    return Table(caption, ("It says", "Then"), REFUSALS, frozenset({1}))


def _band(band: ValueBand, signed: bool = False) -> str:
    return Bounded(band.value, band.lower, band.upper).shown(signed)
