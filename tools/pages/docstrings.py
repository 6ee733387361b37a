"""Docstrings as Markdown: what is said in the code is said once."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from nurture_rl.cli.keys import keys_of

_HEADS = ("Args", "Returns", "Raises", "Source")
_SECTION = re.compile(rf"^({'|'.join(_HEADS)}):\s*(.*)$")
_ENTRY = re.compile(r"^(\w[\w, ]*): (.*)$")


@dataclass(frozen=True, slots=True)
class Told:
    """The parts of a docstring."""

    summary: str
    body: str  # Markdown; indented lines are formulas
    sections: dict[str, str]  # plain text of each section, unindented


def told(thing: object) -> Told:
    """Take a docstring apart.

    Raises:
        ValueError: the thing has none.
    """
    text = inspect.getdoc(thing)
    if not text:
        raise ValueError(f"expected a docstring on {thing!r}; write one")
    sections: dict[str, list[str]] = {"": []}
    head = ""
    for line in text.splitlines():
        found = _SECTION.match(line)
        if found:
            head = found[1]
            sections[head] = [found[2]] if found[2] else []
        else:
            sections[head].append(line)
    own = "\n".join(sections.pop("")).strip()
    summary, _, body = own.partition("\n\n")
    plain = {name: inspect.cleandoc("\n".join(lines)) for name, lines in sections.items()}
    return Told(" ".join(summary.split()), markdown(body), plain)


def markdown(text: str) -> str:
    """Paragraphs as they are, indented lines as blocks."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith("    "):
            parts.append(f"```\n{inspect.cleandoc(block)}\n```")
        elif block.strip():
            parts.append(block)
    return "\n\n".join(parts)


def listed(section: str) -> str:
    """`name: meaning` lines as a list; a line further in goes on with the entry before."""
    entries: list[str] = []
    for line in section.splitlines():
        found = _ENTRY.match(line)
        if found:
            entries.append(f"- `{found[1]}`: {found[2]}")
        elif entries:
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(f"- {line}")
    return "\n".join(entries)


def table(header: str, rows: list[list[str]]) -> str:
    """A Markdown table; `header` names the columns, parted by commas."""
    names = [name.strip() for name in header.split(",")]
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def settings(record: type[Any]) -> str:
    """A table of a settings record, from its comments.

    Raises:
        ValueError: a setting has no comment.
    """
    rows = []
    for key in keys_of(record):
        if not key.text:
            raise ValueError(f"{record.__name__}.{key.name}: say beside it what it means")
        default = "needed" if key.default is None else key.default
        rows.append([f"`{key.name}`", key.kind, default, key.text])
    return table("setting, kind, default, meaning", rows)
