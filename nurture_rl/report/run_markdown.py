"""What a run's page says first, and its rules, as Markdown without pictures."""

from __future__ import annotations

from nurture_rl.report import (
    bar_table,
    hidden_table,
    ope_tables,
    recorded_rounds,
    tables,
    value_tables,
)
from nurture_rl.report.headline import headline
from nurture_rl.report.markdown import grid, items
from nurture_rl.report.region_table import chosen_regions
from nurture_rl.report.source import ReportInput, words
from nurture_rl.report.tuned_table import tuned_rules


def run_markdown(source: ReportInput) -> str:
    """Verdict, bar, values, what the log carries, the rules that were found, and chosen regions."""
    first, about_bar = headline(source), bar_table.about_bar(source)
    judge = value_tables.judge_of(source)
    provenance = words(source.journey, "provenance")
    lines = [f"# {source.title}", "", f"**{first.badge}.** {first.sentence}"]
    lines += ["", *(f"- {reason}" for reason in first.reasons)] if first.reasons else []
    lines += ["", first.simplest] if first.simplest else []
    lines += items("What would settle it", first.settles)
    lines += ["", about_bar] if about_bar else []
    lines += grid(bar_table.against_bar(source))
    lines += items("Learned, and no candidates", bar_table.left_out(source))
    lines += ["", f"Provenance: {provenance}"] if provenance else []
    lines += ["", "## Value per policy", *grid(value_tables.values(source))]
    lines += items("Why these verdicts of the log", value_tables.judgements(source))
    if hidden_table.bounds(judge).rows:
        lines += [*grid(hidden_table.bounds(judge)), "", hidden_table.NOTE]
    lines += grid(ope_tables.overlaps(judge))
    lines += grid(ope_tables.refusals(judge))
    for tuned in tuned_rules(source):
        lines += ["", f"## The rules that were found for “{tuned.name}”", "", tuned.sentence]
        lines += [*grid(tuned.rules), *grid(tuned.dials)]
    for chosen in chosen_regions(source):
        lines += ["", f"## The trust region of \u201c{chosen.name}\u201d", "", chosen.sentence]
        lines += grid(chosen.regions)
    if recorded_rounds.sentence(source):
        lines += ["", "## What several logs reach", "", recorded_rounds.sentence(source)]
        lines += ["", "To play it: `nurture rounds`.", *grid(recorded_rounds.table(source))]
    lines += ["", "## This run", *grid(tables.run_facts(source))]
    return "\n".join(lines) + "\n"
