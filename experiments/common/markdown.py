"""Tables of recorded experiments, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def spread(values: Sequence[float], form: str) -> str:
    """Mean, and the range where there are several."""
    mean = form.format(np.mean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({form.format(min(values))} to {form.format(max(values))})"
