"""The records of the study as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.common.markdown import markdown_table
from experiments.rounds.shares import attainable, losing, reached
from nurture_rl.report.rounds_source import RoundRecord, ValueBand

if TYPE_CHECKING:
    from experiments.rounds.cell import CellRecord


def report(cells: Sequence[CellRecord]) -> str:
    """What each cell reached, then every round."""
    return f"{_reached(cells)}\n\n{_rounds(cells)}"


def _reached(cells: Sequence[CellRecord]) -> str:
    head = (
        *("world", "cell", "seed", "contacts", "first ran", "true value", "runs in the end"),
        *("true value", "share of lift", "released", "rounds for the worse", "lost by exploring"),
    )
    return markdown_table(head, [_line(one) for one in cells])


def _line(cell: CellRecord) -> list[str]:
    rounds, values = cell.record.rounds, reached(cell.record)
    contacts = sum(one.contacts for one in rounds)
    lost = sum(one.truth.exploration_cost.value * one.contacts for one in rounds if one.truth)
    return [
        cell.data,
        f"`{cell.arm}`",
        str(cell.seed),
        f"{contacts:,}",
        f"`{rounds[0].programme}`",
        _value(values[0]),
        f"`{rounds[-1].next_programme}`",
        _value(values[-1]),
        _share(cell.data, values[-1]),
        str(sum(one.verdict == "released" for one in rounds)),
        str(losing(cell.record)),
        f"{lost:,.0f} ({lost / contacts:.1f} a contact)",
    ]


def _rounds(cells: Sequence[CellRecord]) -> str:
    head = (
        *("world", "cell", "seed", "round", "ran", "true value", "share of lift", "earned"),
        *(
            "lost by exploring",
            "sends",
            "unsubscribed, complained",
            "challenger",
            "gain by the log",
        ),
        *("effective sample", "in truth", "gate", "level"),
    )
    lines = [
        [cell.data, f"`{cell.arm}`", str(cell.seed), *_of_round(cell.data, one)]
        for cell in cells
        for one in cell.record.rounds
    ]
    return markdown_table(head, lines)


def _of_round(data: str, one: RoundRecord) -> list[str]:
    assert one.truth is not None, "reference worlds know it"
    harms = [one.amounts.get(name, 0.0) for name in ("unsubscribes", "complaints")]
    return [
        str(one.number),
        f"`{one.programme}`, {one.exploration:.0%} chance",
        _value(one.truth.programme),
        _share(data, one.truth.programme),
        _value(one.earned),
        _value(one.truth.exploration_cost),
        f"{one.amounts.get('sends', 0.0):.2f}",
        " ".join(f"{harm:.4f}" for harm in harms),
        f"`{one.challenger}`" if one.challenger else "",
        "" if one.gain is None else f"{one.gain.value:+.1f}, at least {one.gain.lower:+.1f}",
        "" if one.effective_sample is None else f"{one.effective_sample:.0f} of {one.held_out}",
        "" if one.truth.challenger is None else _value(one.truth.challenger),
        one.verdict.replace("_", " "),
        f"{one.level:.3f}",
    ]


def _value(band: ValueBand) -> str:
    return f"{band.value:.1f} ± {(band.upper - band.lower) / 2.0:.1f}"


def _share(data: str, band: ValueBand) -> str:
    known = attainable().get(data)
    return "" if known is None else f"{known.of(band.value):.0%}"
