"""A drafted mapping as YAML that a person reads line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

# Neither printable in YAML nor safe inside of quotes there: line ends of Unicode among them.
_STRANGE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_SIMPLE = re.compile(r"^[A-Za-zÄÖÜäöüß_][\wÄÖÜäöüß ./-]*[\wÄÖÜäöüß]$")


def mapping_text(
    head: Mapping[str, object],
    tables: Mapping[str, Sequence[Mapping[str, object]]],
    questions: Sequence[str],
    left: Sequence[str],
    rows: int,
) -> str:
    """The mapping's text.

    Args:
        head: how the file is written, in order.
        tables: what a row says, by table; a value is a column, a mapping or a list of columns.
        questions: what somebody has to say first.
        left: columns that nothing takes.
        rows: of the file.
    """
    lines = [
        f"# How {head['file']} becomes rows of the log. Drafted by looking at its {rows} "
        f"row{'s' * (rows != 1)}: read every line.",
        *(f"{name}: {as_scalar(value)}" for name, value in head.items()),
    ]
    if left:
        lines.append(f"# Not taken: {', '.join(map(as_scalar, left))}")
    if questions:
        lines.append("# Answer each in the lines around, and take it out of this list.")
        lines += ["questions:", *(f"  - {as_scalar(one)}" for one in questions)]
    lines.append("tables:" if any(tables.values()) else "tables: {}")
    for name, some in tables.items():
        if some:
            lines.append(f"  {name}:")
            lines += [line for one in some for line in _template(one)]
    return "\n".join(lines) + "\n"


def _template(row: Mapping[str, object]) -> Iterator[str]:
    begin = "    - "
    for name, value in row.items():
        if isinstance(value, Mapping) and "values" in value:
            yield f"{begin}{name}:"
            for key, inner in value.items():
                if isinstance(inner, Mapping):
                    yield f"        {key}:"
                    yield from (
                        f"          {as_scalar(k)}: {as_scalar(v)}" for k, v in inner.items()
                    )
                else:
                    yield f"        {key}: {as_scalar(inner)}"
        elif isinstance(value, Mapping):
            inside = ", ".join(f"{key}: {as_scalar(inner)}" for key, inner in value.items())
            yield f"{begin}{name}: {{{inside}}}"
        elif isinstance(value, list):
            yield f"{begin}{name}: [{', '.join(map(as_scalar, value))}]"
        else:
            yield f"{begin}{name}: {as_scalar(value)}"
        begin = "      "


def as_scalar(value: object) -> str:
    """A word as it is, or in quotes with what YAML would not take as written escaped."""
    text = str(value)
    if _SIMPLE.match(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _STRANGE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
