"""Tables of what policies earn: KPIs, values, estimators, actions and the world's heads."""

from __future__ import annotations

from collections.abc import Sequence

from nurture_rl.report.headline import (
    logged_difference,
    only_the_log_is_missing,
    world_difference,
    world_value,
)
from nurture_rl.report.judged import lack
from nurture_rl.report.mixes import action_shares, mix_names
from nurture_rl.report.numbers import (
    MISSING,
    Bounded,
    count,
    percent,
    sentence_case,
    shown,
)
from nurture_rl.report.ope_source import VERDICTS, OpeSource, believed
from nurture_rl.report.ope_source import role as role_for
from nurture_rl.report.source import (
    Json,
    ReportInput,
    listed,
    mapping,
    number,
    numbers,
    pick,
    why,
    words,
)
from nurture_rl.report.tables import Table

SHOWN_ACTIONS = 12


def role(source: ReportInput, name: str) -> str:
    """A policy's name with what it is in this run."""
    return role_for(judge_of(source), name)


def judge_of(source: ReportInput) -> OpeSource:
    """What the judge of the log found, as the off-policy report reads it."""
    return OpeSource({"appraisal": {**source.appraisal, "candidate": source.candidate}})


def played_kpis(source: ReportInput, world: str, caption: str) -> Table:
    """KPIs of each policy when played in a world, without intervals."""
    entries = _north_star_first(source)
    names = [words(kpi, "name") or MISSING for _, kpi in entries]
    policies = {
        name: numbers(policy, "kpis")
        for name, policy in mapping(source.evaluation, world, "policies").items()
    }
    rows = tuple(
        (role(source, name), *(shown(kpis[place]) for place, _ in entries))
        for name, kpis in policies.items()
        if len(kpis) == len(entries)
    )
    return Table(caption, ("Policy", *names), rows if names else ())


def values(source: ReportInput) -> Table:
    """Value of each policy by every judge, with the truth where it is known."""
    truth = bool(mapping(source.evaluation, "truth", "policies"))
    less = f"less {source.reference}"
    columns = ["Policy", "By the log", less, "In the simulator", less]
    columns += ["In truth", "Verdict of the log"] if truth else ["Verdict of the log"]
    blanks = (MISSING,) * (len(columns) - 2)
    rows = [("as logged", judge_of(source).value("logged").shown(), *blanks)]
    rows += [_value_row(source, name, truth) for name in source.policies]
    return Table(
        f"Value by policy, {source.unit} {source.per}",
        tuple(columns),
        tuple(rows) if source.policies else (),
        frozenset({len(columns) - 1}),
    )


def judgements(source: ReportInput) -> tuple[str, ...]:
    """The reason of each policy's verdict; what would settle it where nothing else refuses."""
    policies = mapping(source.ope, "policies").items()
    judged = ((name, why(one, only_the_log_is_missing(source, name))) for name, one in policies)
    return tuple(f"{name}: {reason}" for name, reason in judged if reason)


def heads(calibration: Sequence[Json]) -> Table:
    """How well each head of the learned world agrees with unseen contacts."""
    rows = tuple(
        (
            sentence_case(words(head, "head") or MISSING),
            count(number(head, "events")),
            percent(number(head, "base_rate")),
            percent(number(head, "predicted_rate")),
            shown(number(head, "brier")),
            shown(number(head, "log_loss")),
            shown(number(head, "constant_log_loss")),
            percent(number(head, "ece")),
            "constant rate" if head.get("learned") is False else "learned",
        )
        for head in calibration
    )
    columns = (
        "Answer",
        "Events",
        "Observed rate",
        "Predicted rate",
        "Brier score",
        "Log-loss",
        "Log-loss of a constant",
        "Calibration error",
        "Kind",
    )
    return Table("The learned world on contacts it never saw", columns, rows, frozenset({8}))


def actions(source: ReportInput) -> Table:
    """The most used actions over all bins, per policy."""
    names = mix_names(source)
    shares = [action_shares(source, name) for name in names]
    ids = [str(name) for name in listed(source.evaluation, "actions")]
    largest = {i: max((share[i] for share in shares), default=0.0) for i in range(len(ids))}
    order = sorted(largest, key=lambda i: -largest[i])[:SHOWN_ACTIONS]
    rows = tuple((ids[i], *(percent(share[i]) for share in shares)) for i in order)
    columns = ("Action", *("as logged" if n is None else role(source, n) for n in names))
    few = "" if len(rows) == len(ids) else f"; the {len(rows)} most used of {len(ids)}"
    caption = f"Share of decisions by action{few}"
    return Table(caption, columns, rows if shares else ())


def _north_star_first(source: ReportInput) -> list[tuple[int, object]]:
    """The key figures with their places in the input."""
    entries = list(enumerate(listed(source.appraisal, "kpis")))
    return sorted(entries, key=lambda entry: words(entry[1], "role") != "north star")


def _value_row(source: ReportInput, name: str, truth: bool) -> tuple[str, ...]:
    policy = pick(source.ope, "policies", name)
    judge = judge_of(source)
    known = believed(judge, name)
    robust = judge.estimate(name, "dr") if known else Bounded(None)
    real = world_value(source, "truth", name)
    verdict = words(policy, "judgement", "verdict")
    return (
        role(source, name),
        robust.shown() if known else lack(judge, name),
        logged_difference(source, name).shown(signed=True),
        world_value(source, "simulator", name).shown(),
        world_difference(source, "simulator", name).shown(signed=True),
        *((f"{shown(real.value)}{_inside(robust, real.value)}",) if truth else ()),
        MISSING if verdict is None else VERDICTS.get(verdict, verdict),
    )


def _inside(estimate: Bounded, truth: float | None) -> str:
    if truth is None or estimate.lower is None or estimate.upper is None:
        return ""
    return ", inside" if estimate.lower <= truth <= estimate.upper else ", outside"
