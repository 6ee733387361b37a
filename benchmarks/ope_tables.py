"""The findings of the benchmark of off-policy evaluation as Markdown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Side:
    """One side's runs of a job."""

    runs: list[list[float]]  # seconds and processor seconds of each
    other_cpu: float  # share of the machine that others used meanwhile, [0, 1]

    def median(self, which: int) -> float:
        """Median over runs of seconds (0) or processor seconds (1)."""
        return statistics.median(run[which] for run in self.runs)


@dataclass(slots=True)
class Found:
    """What one run found; filled in order."""

    about: dict[str, str]
    sides: dict[str, Side] = field(default_factory=dict)  # ours first
    skipped: dict[str, str] = field(default_factory=dict)  # why there is no figure
    largest_difference: float | None = None  # of values that are defined alike


def markdown(found: Found) -> str:
    """Everything as tables."""
    about = "\n".join(f"- {name}: {value}" for name, value in found.about.items())
    parts = [about, _sides(found), _equal(found)]
    return "\n\n".join(part for part in parts if part)


def _sides(found: Found) -> str:
    ours = next(iter(found.sides.values()))
    lines = ["| six estimators, two tuned | seconds | processor seconds | other CPU | of ours |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, side in found.sides.items():
        times = f"{side.median(0) / ours.median(0):.3g}x ({side.median(1) / ours.median(1):.3g}x)"
        lines.append(
            f"| {name} | {_spread(side, 0)} | {_spread(side, 1)} | {side.other_cpu:.0%} | {times} |"
        )
    lines += [f"| {name} | skipped: {reason} | | | |" for name, reason in found.skipped.items()]
    return "\n".join(lines) + "\n\nOf ours: by the clock, and by processor seconds in brackets."


def _equal(found: Found) -> str:
    if found.largest_difference is None:
        return ""
    return f"Values that are defined alike differ by at most {found.largest_difference:.1e}."


def _spread(side: Side, which: int) -> str:
    values = [run[which] for run in side.runs]
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"
