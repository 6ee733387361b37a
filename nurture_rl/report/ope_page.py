"""The off-policy report: one HTML file, Markdown without pictures, and everything as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.report import ope_tables
from nurture_rl.report.headline import ope_headline
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import counted
from nurture_rl.report.ope_appendix import appendix_figures
from nurture_rl.report.ope_figures import ope_figures
from nurture_rl.report.ope_sections import Part, sections
from nurture_rl.report.ope_source import OpeSource
from nurture_rl.report.source import Json, mapping, number, words
from nurture_rl.report.templates import page

FILES = ("ope.html", "ope.md", "ope.json")


def write_ope_report(content: Json, out: Path) -> tuple[Path, ...]:
    """Write `ope.html`, `ope.md` and `ope.json` to the folder `out`, each whole or not at all.

    Args:
        content: `title`, `appraisal` (of `Appraisal.to_dict`), `log` and `run`, as JSON values.

    Raises:
        OSError: the disk refuses.
    """
    out.mkdir(parents=True, exist_ok=True)
    texts = (ope_page(content), ope_markdown(content), json.dumps(content, indent=1) + "\n")
    for name, text in zip(FILES, texts, strict=True):
        atomic_write_bytes(out / name, text.encode("utf-8"))
    return tuple(out / name for name in FILES)


def ope_page(content: Json) -> str:
    """The page; nothing is asked from outside."""
    source = OpeSource(content)
    made = sections(source, ope_figures(source) | appendix_figures(source))
    return page(
        "ope_page.html.j2",
        _title(source),
        subtitle=_subtitle(source),
        headline=ope_headline(source),
        provenance=words(source.log, "provenance"),
        contents=[*((one.id, one.title) for one in made), ("run", "This run")],
        sections=made,
        run_facts=ope_tables.run_facts(source),
        command=words(content, "run", "command"),
        config=words(content, "run", "config"),
    )


def ope_markdown(content: Json) -> str:
    """The same without pictures."""
    source = OpeSource(content)
    headline = ope_headline(source)
    lines = [f"# {_title(source)}", "", _subtitle(source), ""]
    lines += [f"**{headline.badge}.** {headline.sentence}", ""]
    lines += [f"- {reason}" for reason in headline.reasons]
    lines += ["", headline.simplest] if headline.simplest else []
    if headline.settles:
        lines += ["", "What would settle it:", "", *(f"- {line}" for line in headline.settles)]
    provenance = words(source.log, "provenance")
    lines += ["", provenance] if provenance else []
    for section in sections(source, {}):
        lines += ["", f"## {section.title}"]
        lines += ["", section.lead] if section.lead else []
        for part in section.parts:
            lines += _part(part)
    lines += ["", "## This report, to make it again", ""]
    command = words(content, "run", "command")
    lines += ["```", command, "```"] if command else []
    lines += grid(ope_tables.run_facts(source))
    return "\n".join(lines) + "\n"


def _title(source: OpeSource) -> str:
    return words(source.content, "title") or "Off-policy evaluation"


def _subtitle(source: OpeSource) -> str:
    evaluation = source.evaluation
    parts = [
        words(source.log, "source"),
        f"{counted(number(evaluation, 'n_decisions'), 'decision')} of "
        f"{counted(number(evaluation, 'n_clusters'), 'contact')}",
        counted(len(mapping(evaluation, "policies")), "target policy", "target policies"),
    ]
    return " · ".join(part for part in parts if part)


def _part(part: Part) -> list[str]:
    lines = [*grid(part.table), *grid(part.folded_table)]
    lines += ["", *(f"- {item}" for item in part.items)] if part.items else []
    return lines + (["", part.note] if part.note else [])
