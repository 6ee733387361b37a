"""Tables of a page as Markdown."""

from __future__ import annotations

from nurture_rl.report.tables import Table


def grid(table: Table) -> list[str]:
    """The table's lines with its caption above, none where it has no rows."""
    if not table.rows:
        return []
    aligned = [
        ":---" if place == 0 or place in table.texts else "---:"
        for place in range(len(table.columns))
    ]
    lines = ["", f"**{table.caption}**", ""]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in (table.columns, aligned, *table.rows)]
    return lines


def items(title: str, sentences: tuple[str, ...]) -> list[str]:
    """A list with what it is of, no line where it is empty."""
    return ["", f"{title}:", "", *(f"- {line}" for line in sentences)] if sentences else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
