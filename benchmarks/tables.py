"""The benchmark's findings as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peer_runs import Skipped
from benchmarks.timing import Rate

Figure = Rate | Skipped


@dataclass(slots=True)
class Findings:
    """What one run found; filled in order."""

    about: dict[str, Any]  # machine, versions, sizes
    ours: dict[str, Figure] = field(default_factory=dict)  # contact-steps/s
    others: dict[str, Figure] = field(default_factory=dict)  # steps/s
    flat: dict[int, Figure] = field(default_factory=dict)  # by contacts, contact-steps/s
    memory: dict[str, float] = field(default_factory=dict)  # bytes per contact
    limits: dict[str, float] = field(default_factory=dict)


def markdown(found: Findings) -> str:
    """Everything as tables."""
    parts = [_about(found.about), _rates(found), _flat(found.flat), _numbers(found)]
    return "\n\n".join(part for part in parts if part)


def write_json(found: Findings, path: Path) -> None:
    """Everything as JSON; figures that were skipped carry their reason."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")


def _about(about: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in about.items())


def _rates(found: Findings) -> str:
    """Rates, and how many times faster each of ours is; below 1, slower."""
    names = [name for name, figure in found.ours.items() if isinstance(figure, Rate)]
    head = "| environment | steps/s, median (range) | other CPU |"
    head += "".join(f" {name}: times as fast |" for name in names)
    lines = [head, "| --- | --- | --- |" + " --- |" * len(names)]
    for name, figure in {**found.ours, **found.others}.items():
        lines.append(f"| {name} | {_cells(figure)} |" + _ratios(found, names, figure))
    return "\n".join(lines)


def _ratios(found: Findings, names: list[str], other: Figure) -> str:
    if isinstance(other, Skipped):
        return " |" * len(names)
    mine = (found.ours[name] for name in names)
    return "".join(f" {one.median / other.median:.3g} |" for one in mine if isinstance(one, Rate))


def _flat(flat: Mapping[int, Figure]) -> str:
    if not flat:
        return ""
    lines = ["| contacts | ns per contact-step | steps/s, median (range) | other CPU |"]
    lines.append("| --- | --- | --- | --- |")
    for n, figure in flat.items():
        cost = f"{1e9 / figure.median:.0f}" if isinstance(figure, Rate) else ""
        lines.append(f"| {n:,} | {cost} | {_cells(figure)} |")
    return "\n".join(lines)


def _numbers(found: Findings) -> str:
    lines = ["| per contact | bytes |", "| --- | --- |"]
    lines += [f"| {name} | {value:,.0f} |" for name, value in found.memory.items()]
    lines += ["", "| limit | value |", "| --- | --- |"]
    lines += [f"| {name} | {_short(value)} |" for name, value in found.limits.items()]
    return "\n".join(lines)


def _cells(figure: Figure) -> str:
    if isinstance(figure, Skipped):
        return f"skipped: {figure.reason} | "
    spread = f"{_short(figure.median)} ({_short(figure.low)}–{_short(figure.high)})"
    return f"{spread} | {figure.other_cpu:.0%}"


def _short(value: float) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
