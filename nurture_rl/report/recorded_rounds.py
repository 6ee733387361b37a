"""What rounds came to in a run's reference world, as recorded; nothing of it is of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nurture_rl.report import drawing
from nurture_rl.report.numbers import count, counted, shown
from nurture_rl.report.source import ReportInput, mapping, words
from nurture_rl.report.tables import Table

_FILE = "recorded_rounds.json"  # experiments/rounds writes it


@lru_cache(maxsize=1)
def _recorded() -> Mapping[str, Any]:
    text = resources.files("nurture_rl.report").joinpath(_FILE).read_text("utf-8")
    return dict(json.loads(text))


def _of(source: ReportInput) -> Mapping[str, Any] | None:
    """What is recorded of the reference world that made this run's log; None: nothing."""
    played = mapping(source.evaluation, "truth", "policies")
    return _recorded().get(words(source.journey, "name") or "") if played else None


def sentence(source: ReportInput) -> str:
    """What the records say; empty where there are none."""
    found = _of(source)
    if found is None:
        return ""
    rounds, one_log = _arm(found, "rounds"), _arm(found, "one_log")
    contacts, unit = sum(rounds[0]["contacts"]), found["unit"]
    begun, reached = (_range([one["values"][end] for one in rounds]) for end in (0, -1))
    words_of = [
        f"Recorded earlier in this synthetic world, not played in this run: "
        f"{counted(len(rounds), 'programme')} of {counted(len(rounds[0]['contacts']), 'round')} "
        f"of {count(rounds[0]['contacts'][0])} contacts, each round with its own gate, came from "
        f"{begun} to {reached} {unit} a contact in truth."
    ]
    if one_log:
        alone = _range([one["values"][-1] for one in one_log])
        words_of.append(f"The same {count(contacts)} contacts as one log came to {alone}.")
    words_of.append(
        "A log carries only policies near the one that made it; what runs next makes the next log."
    )
    return " ".join(words_of)


def table(source: ReportInput) -> Table:
    """The true value by round; no rows where nothing is recorded."""
    found = _of(source)
    head = ("Programme", "Seed", "Contacts", "Ran", "Runs at the end")
    if found is None:
        return Table("", head, ())
    programmes = [*_arm(found, "rounds"), *_arm(found, "one_log")]
    most = max(len(one["values"]) for one in programmes)
    rows = [
        (
            "rounds" if one["arm"] == "rounds" else "one log",
            str(one["seed"]),
            count(sum(one["contacts"])),
            *(shown(value) for value in one["values"]),
            *[""] * (most - len(one["values"])),
            one["runs"][-1],
        )
        for one in programmes
    ]
    by_round = ("at the start", *(f"after {k}" for k in range(1, most)))
    heads = ("Programme", "Seed", "Contacts", *by_round, "Runs at the end")
    caption = f"True value of what runs, {found['unit']} a contact, without exploration"
    return Table(caption, heads, tuple(rows), frozenset({len(heads) - 1}))


def picture(source: ReportInput) -> bytes | None:
    """The same by contacts so far; None where nothing is recorded."""
    found = _of(source)
    if found is None:
        return None
    unit = found["unit"]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _lines(axes, _arm(found, "rounds"), "rounds, each with its gate", drawing.BLUE)
        _lines(axes, _arm(found, "one_log"), "one log, one gate", drawing.ORANGE)
        axes.set_xlabel("contacts so far")
        axes.set_ylabel(f"{unit} a contact in truth")
        drawing.legend_below(figure, axes, 2)

    return drawing.draw("rounds", 3.4, paint)


def _lines(axes: Axes, programmes: Sequence[Mapping[str, Any]], label: str, colour: str) -> None:
    for place, one in enumerate(programmes):
        at = [0, *accumulate(one["contacts"])]
        name = label if place == 0 else None
        axes.step(at, one["values"], color=colour, where="post", linewidth=1.2, label=name)
        axes.plot(at, one["values"], color=colour, marker="o", markersize=3, linestyle="")


def _arm(found: Mapping[str, Any], arm: str) -> list[Mapping[str, Any]]:
    return [one for one in found["programmes"] if one["arm"] == arm]


def _range(values: Sequence[float]) -> str:
    lowest, highest = shown(min(values)), shown(max(values))
    return lowest if lowest == highest else f"between {lowest} and {highest}"
