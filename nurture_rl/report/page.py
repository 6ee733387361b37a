"""The page itself: everything inside one file, nothing asked from outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.report import (
    bar_table,
    ensemble,
    hidden_table,
    judged,
    ope_tables,
    recorded_rounds,
    tables,
    value_tables,
)
from nurture_rl.report.drawing import inline
from nurture_rl.report.figures import figures
from nurture_rl.report.gap_page import gap_section
from nurture_rl.report.headline import headline
from nurture_rl.report.mixes import single_bin
from nurture_rl.report.numbers import count, counted, moment
from nurture_rl.report.region_table import chosen_regions
from nurture_rl.report.run_markdown import run_markdown
from nurture_rl.report.source import ReportInput, listed, number, words
from nurture_rl.report.templates import page
from nurture_rl.report.tuned_table import tuned_rules

FIGURES = "figures"  # the folder beside the page
_GAP, _ROUNDS = "gap-verdict", "rounds"
_CONTENTS = (
    ("kpis", "Key figures"),
    ("data", "The data"),
    ("values", "Value per policy"),
    ("overlap", "What the log carries"),
    (_ROUNDS, "What several logs reach"),
    ("calibration", "The learned world"),
    (_GAP, "Its reality gap"),
    ("mix", "Action mix"),
    ("guardrails", "Guardrails"),
    ("run", "This run"),
)


def write_report(source: ReportInput, out: Path) -> Path:
    """Write the page to `out`, and its Markdown, `.md`, and its figures, `figures/`, beside it.

    Each file is written whole or not at all; the same input gives the same bytes.

    Raises:
        OSError: the disk refuses.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = figures(source)
    folder = out.parent / FIGURES
    folder.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        atomic_write_bytes(folder / f"{name}.svg", svg)
    atomic_write_bytes(out.with_suffix(".md"), run_markdown(source).encode("utf-8"))
    atomic_write_bytes(out, render(source, drawn).encode("utf-8"))
    return out


def render(source: ReportInput, drawn: Mapping[str, bytes] | None = None) -> str:
    """The page as HTML, with its figures where they are drawn already."""
    drawn = figures(source) if drawn is None else drawn
    return page(
        "report.html.j2",
        source.title,
        headline=headline(source),
        about_bar=bar_table.about_bar(source),
        against_bar=bar_table.against_bar(source),
        left_out=bar_table.left_out(source),
        provenance=words(source.journey, "provenance"),
        subtitle=_subtitle(source),
        contents=_contents(source),
        unit=source.unit,
        per=source.per,
        reference=source.reference,
        figures={name: Markup(inline(svg)) for name, svg in drawn.items()},
        command=words(source.run, "command"),
        config=words(source.run, "config"),
        single_bin=single_bin(source),
        simulated=_simulated(source),
        members=ensemble.members(source),
        worst=ensemble.worst_quantile(source),
        tuned=tuned_rules(source),
        regions=chosen_regions(source),
        gap=None if source.gap is None else gap_section(source.gap),
        **_data(source),
        **_values(source),
    )


def _contents(source: ReportInput) -> list[tuple[str, str]]:
    absent = {_GAP} if source.gap is None else set()
    absent |= set() if recorded_rounds.sentence(source) else {_ROUNDS}
    return [one for one in _CONTENTS if one[0] not in absent]


def _data(source: ReportInput) -> dict[str, object]:
    data = source.data
    return {
        "facts": tables.facts(data),
        "rows": tables.row_counts(data),
        "quarantine": tables.quarantine(data),
        "excluded": tables.excluded(data),
        "refused_columns": tables.notes(data, "refused_columns"),
        "supports": tables.notes(data, "supports"),
        "limits": tables.notes(data, "does_not_support", "limits"),
        "run_facts": tables.run_facts(source),
    }


def _values(source: ReportInput) -> dict[str, object]:
    judge = value_tables.judge_of(source)
    return {
        "kpis": judged.kpis(judge),
        "doing": judged.doing(judge),
        "harm_limits": judged.limits(judge),
        "checks": ope_tables.checks(judge, passed=False),
        "simulated_kpis": value_tables.played_kpis(source, "simulator", "In the simulator"),
        "true_kpis": value_tables.played_kpis(source, "truth", "In truth"),
        "values": value_tables.values(source),
        "overlaps": ope_tables.overlaps(judge),
        "estimators": ope_tables.estimates(judge),
        "refusals": ope_tables.refusals(judge),
        "hidden": hidden_table.bounds(judge),
        "hidden_note": hidden_table.NOTE,
        "rounds": recorded_rounds.sentence(source),
        "rounds_table": recorded_rounds.table(source),
        "judgements": value_tables.judgements(source),
        "heads": value_tables.heads(source.calibration),
        "actions": value_tables.actions(source),
    }


def _subtitle(source: ReportInput) -> str:
    horizon = number(source.journey, "horizon")
    steps = None if horizon is None else counted(horizon, "decision")
    started = words(source.run, "started_at")
    journey = words(source.journey, "title"), words(source.journey, "name")
    parts = (*dict.fromkeys(journey), steps, started and f"run started {moment(started)}")
    return " · ".join(part for part in parts if part)


def _simulated(source: ReportInput) -> str:
    """How much was played in the simulator."""
    contacts = number(source.evaluation, "simulator", "contacts")
    seeds = listed(source.evaluation, "simulator", "seeds")
    if contacts is None:
        return ""
    played = (
        f"{counted(contacts, 'simulated contact')} for each of {counted(len(seeds), 'seed')}; the "
        "simulator's intervals count "
    )
    members = number(source.evaluation, "simulator", "members") or 1.0
    if members > 1.0:
        return (
            f"{played}that chance and how far the {count(members)} members of the learned world "
            "part, not what all of them have wrong."
        )
    return f"{played}that chance alone, not how far the learned world is from the real one."
