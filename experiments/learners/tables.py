"""What the records of all learners show together, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.common.markdown import markdown_table, spread
from experiments.learners.study import LearnerRecord, Measured


def report(records: Sequence[LearnerRecord]) -> str:
    """A table for each log's kind and size, the highest released value first."""
    cells = sorted({(record.data, record.contacts) for record in records})
    return "\n\n".join(
        f"### {data}, {contacts:,} contacts\n\n{_table(records, data, contacts)}"
        for data, contacts in cells
    )


def _table(records: Sequence[LearnerRecord], data: str, contacts: int) -> str:
    of_cell = [one for one in records if (one.data, one.contacts) == (data, contacts)]
    by_learner: dict[str, list[LearnerRecord]] = {}
    for one in of_cell:
        by_learner.setdefault(one.learner, []).append(one)

    def worth(learner: str) -> float:
        return float(np.mean([one.released.value for one in by_learner[learner]]))

    unit = of_cell[0].unit
    head = [
        *("policy", "seeds", f"released, {unit}", "less drip", "standard error", "sends"),
        *("unsubscribed, complained", f"alone, {unit}", "seconds"),
    ]
    ranked = sorted(by_learner, key=worth, reverse=True)
    return markdown_table(head, (list(_line(name, by_learner[name])) for name in ranked))


def _line(learner: str, records: Sequence[LearnerRecord]) -> Iterator[str]:
    """One policy; the standard error is of the contacts played, not of logs."""
    released = [one.released for one in records]
    alone = [one.alone.value for one in records if one.alone is not None]
    yield f"`{learner}`"
    yield str(len(records))
    yield spread([one.value for one in released], "{:.1f}")
    yield spread([one.over_drip for one in released], "{:+.1f}")
    yield f"{np.mean([one.over_drip_stderr for one in released]):.1f}"
    yield f"{np.mean([_sent(one) for one in released]):.2f}"
    yield " ".join(
        f"{np.mean([one.amounts[name] for one in released]):.4f}"
        for name in ("unsubscribed", "complained")
    )
    yield spread(alone, "{:.1f}") if alone else ""
    yield f"{np.mean([one.seconds for one in records]):.0f}" if alone else ""


def _sent(one: Measured) -> float:
    return sum(count for name, count in one.amounts.items() if name.startswith("sent_"))
