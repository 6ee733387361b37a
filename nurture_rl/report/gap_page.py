"""The reality gap for people: one HTML page, a Markdown summary, and the numbers as JSON."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup

from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.report.drawing import inline
from nurture_rl.report.gap_figures import gap_figures
from nurture_rl.report.gap_source import TRUST, GapSource, rows, shown
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, count, percent
from nurture_rl.report.numbers import shown as rounded
from nurture_rl.report.source import Json, listed, number, pick, words
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page, section

_CAPTIONS = {
    "rates": (
        "How often things happen",
        "Rate of each signal per decision in the world over that in the log. Inside the shaded "
        "band a gap does not matter in practice; signals that nothing reads are left out.",
    ),
    "funnel": (
        "How far episodes get",
        "Share of episodes that ever saw each signal.",
    ),
    "survival": (
        "When it happens",
        "Share of episodes still without the event, with pointwise 95 % bands. An episode that "
        "ends otherwise stays without it.",
    ),
    "responses": (
        "Dose and recovery",
        "How often a send is answered, by the days since the send before and by the sends of the "
        "week before; bars are 95 % intervals.",
    ),
    "half_life": (
        "Fatigue",
        "How well each half-life of fatigue explains the answers. Where a curve stays above the "
        "dashed line, the half-life is inside the 95 % interval.",
    ),
    "hours": (
        "Hours of the week",
        "Share of sends answered by weekday and local hour; hours at which nothing is sent are "
        "left out.",
    ),
    "effects": (
        "What a send does",
        "Change of the chance in the bin of a send against waiting, on the same logged decisions. "
        "Where black and blue part, the logging policy knew something that the features do not "
        "hold; a world must then agree with black.",
    ),
    "classifier": (
        "Can episodes be told apart?",
        "A classifier guesses for unseen contacts whether an episode was logged or simulated. On "
        "the dashed line it cannot tell.",
    ),
    "delays": (
        "When the log knows",
        "Share of events that become known so many bins after they happened.",
    ),
    "reliability": (
        "One bin ahead",
        "Predicted chance against the share that happened, on the held-out log; bars are 95 % "
        "intervals.",
    ),
}


def write_gap_report(gap: Json, out: Path) -> tuple[Path, Path, Path]:
    """Write `gap.html`, `gap.md` and `gap.json` to the folder `out`.

    Args:
        gap: `GapReport.to_dict()`.

    Raises:
        OSError: the disk refuses.
    """
    out.mkdir(parents=True, exist_ok=True)
    texts = (
        ("gap.html", gap_page(gap)),
        ("gap.md", gap_markdown(gap)),
        ("gap.json", json.dumps(gap, indent=1) + "\n"),
    )
    for name, text in texts:
        atomic_write_bytes(out / name, text.encode("utf-8"))
    return out / "gap.html", out / "gap.md", out / "gap.json"


def gap_page(gap: Json) -> str:
    """A page of its own; nothing is asked from outside."""
    return page("gap_page.html.j2", _title(gap), section=gap_section(gap))


def _title(gap: Json) -> str:
    return f"Reality gap: {words(gap, 'journey') or ''}"


def gap_section(gap: Json) -> Markup:
    """The section of a page, without its style."""
    return _section_of(json.dumps(gap))


@lru_cache(maxsize=1)  # the gap's own page and the run's show the same, with a dozen figures
def _section_of(text: str) -> Markup:
    gap = json.loads(text)
    source = GapSource(gap)
    kind, badge = TRUST[source.trust]
    drawn = gap_figures(source)
    return section(
        "gap_section.html.j2",
        kind=kind,
        badge=badge,
        sentence=words(gap, "verdict", "sentence") or "",
        causes=_causes(source),
        facts=_facts(source),
        notes=[str(note) for note in listed(source.evidence, "notes")],
        figures=[
            (title, caption, Markup(inline(drawn[name])))
            for name, (title, caption) in _CAPTIONS.items()
            if name in drawn
        ],
        leaks=_leaks(source),
        worst=_worst(source),
    )


def gap_markdown(gap: Json) -> str:
    """Verdict, causes and the most telling numbers as Markdown."""
    source = GapSource(gap)
    told = f"**{TRUST[source.trust][1]}.** {words(gap, 'verdict', 'sentence') or ''}"
    lines = [f"# {_title(gap)}", "", told]
    for table in (_causes(source), _facts(source), _worst(source)):
        lines += grid(table)
    lines += ["", *(f"- {note}" for note in listed(source.evidence, "notes"))]
    return "\n".join(lines).rstrip() + "\n"


def _causes(source: GapSource) -> Table:
    entries = tuple(
        (
            shown(words(row, "cause")) + (" (symptom)" if row.get("symptom") is True else ""),
            rounded(number(row, "number")),
            rounded(number(row, "threshold")),
            words(row, "sentence") or "",
        )
        for row in source.causes
    )
    columns = ("Cause", "Number", "Threshold", "What it means")
    return Table("What speaks against it, roots first", columns, entries, frozenset({3}))


def _facts(source: GapSource) -> Table:
    evidence = source.evidence
    findings = [words(row, "finding") for row in rows(evidence, "comparisons")]
    test = pick(evidence, "two_sample")
    auc, low, high = (number(test, key) for key in ("auc", "lower", "upper"))
    found = (
        ("Held-out contacts", count(number(evidence, "contacts"))),
        ("Simulated episodes", count(number(evidence, "simulated_episodes"))),
        (
            "Comparisons",
            f"{len(findings)}: {findings.count('agrees')} agree, {findings.count('differs')} "
            f"differ, {findings.count('unclear')} cannot be told",
        ),
        (
            "Classifier that tells log and world apart",
            MISSING if auc is None else f"AUC {auc:.3f} [{low:.3f}, {high:.3f}]",
        ),
        (
            "Effective share of the log under the replayed policy",
            percent(number(evidence, "effective_share")),
        ),
    )
    return Table("What was compared", ("Fact", "Value"), found, frozenset({1}))


def _worst(source: GapSource) -> Table:
    """The comparisons least likely by chance."""
    known = [
        row for row in rows(source.evidence, "comparisons") if number(row, "p_value") is not None
    ]
    told = {"unclear": "cannot tell"}
    found = tuple(
        (
            f"{shown(words(row, 'head'))}, {words(row, 'group')} ({words(row, 'family')})",
            rounded(number(row, "real", "value")),
            rounded(number(row, "simulated", "value")),
            told.get(words(row, "finding") or "", words(row, "finding") or ""),
        )
        for row in sorted(known, key=lambda row: number(row, "p_value") or 0.0)[:10]
    )
    columns = ("What", "Log", "World", "Finding")
    return Table("The gaps least likely by chance", columns, found, frozenset({3}))


def _leaks(source: GapSource) -> Table:
    found = tuple(
        (
            f"{shown(words(row, 'feature'))} ({words(row, 'by')})",
            shown(words(row, "head")),
            rounded(number(row, "auc"), 3),
            rounded(number(row, "simulated"), 3),
        )
        for row in rows(source.evidence, "leaks")[:10]
    )
    columns = ("Feature", "Signal", "AUC in the log", "AUC in the world")
    return Table("Features that know too much", columns, found, frozenset({1}))
