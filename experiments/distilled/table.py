"""The records as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.distilled.run import DistilledRecord, DistilledRow

_COLUMNS = ("journey", "learner", "seed", "policy", "rules", "alike", "at stake", "truth, EUR")


def report(records: Sequence[DistilledRecord]) -> str:
    """One row a policy."""
    head = f"| {' | '.join(_COLUMNS)} | less the policy alone |"
    lines = [head, "| --- " * (len(_COLUMNS) + 1) + "|"]
    lines += [_row(one, row) for one in in_order(records) for row in one.rows]
    return "\n".join(lines)


def in_order(records: Sequence[DistilledRecord]) -> list[DistilledRecord]:
    """By journey, learner and seed."""
    return sorted(records, key=lambda one: (one.data, one.learner, one.seed))


def _row(one: DistilledRecord, row: DistilledRow) -> str:
    rules = "" if row.rules is None else str(row.rules)
    less = f"{row.less_alone:+.1f} ± {row.less_alone_stderr:.1f}"
    return (
        f"| {one.data} | `{one.learner}` | {one.seed} | {row.policy} | {rules} "
        f"| {_share(row.fidelity)} | {_share(row.at_stake)} "
        f"| {row.truth:.1f} ± {row.truth_stderr:.1f} | {less} |"
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
