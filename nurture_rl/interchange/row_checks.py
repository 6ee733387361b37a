"""What can be wrong with one foreign decision, checked for all rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.interchange.logged_rows import BoolArray, FloatArray, LoggedRows, Texts
from nurture_rl.interchange.rounding import sums_to_one
from nurture_rl.logs.precision import (
    match_tolerance,
    row_decimals,
    table_decimals,
    written_decimals,
)
from nurture_rl.ope.log_checks import TOLERANCE

_WIDEST = float(np.finfo(np.float32).max)  # features of an evaluation log are float32
_BEYOND = "beyond numbers of 32 bits"
Finding = tuple[BoolArray, str, NDArray[Any] | None]  # rows, text with {} for the value, values


def first_faults(rows: LoggedRows) -> Texts:
    """The first problem of each row as "<kind>: <detail>", "" where there is none, [n]."""
    n = rows.line.size
    faults = np.full(n, "", dtype=object) if rows.faults is None else rows.faults.copy()
    for checks in (_codes, _values, _choices, _distributions):
        for bad, text, values in checks(rows):
            set_fault(faults, bad, text, values)
    _repeats(rows, faults)
    return faults


def set_fault(faults: Texts, bad: BoolArray, text: str, values: NDArray[Any] | None = None) -> None:
    """Note a problem in rows that have none yet; {} in the text is the row's value."""
    for i in np.flatnonzero(bad):
        if faults[i] != "":
            continue
        faults[i] = text if values is None else text.replace("{}", f"{values[i]:.9g}", 1)


def _codes(rows: LoggedRows) -> Iterator[Finding]:
    """Numbers that the log's owner says stand for missing."""
    codes = list(rows.meaning.missing)
    if not codes:
        return
    columns = [("propensity", "propensity", rows.propensity), ("reward", "reward", rows.reward)]
    columns += [("outcome", f"outcome {name!r}", values) for name, values in rows.outcomes.items()]
    columns += [
        ("feature", f"feature {name!r}", rows.features[:, column])
        for column, name in enumerate(rows.meaning.features)
    ]
    for kind, name, values in columns:
        text = f"missing {kind}: {name} is {{}}, which stands for missing (data.missing)"
        yield np.isin(values, codes), text, values


def _values(rows: LoggedRows) -> Iterator[Finding]:
    p = rows.propensity
    yield rows.contact < 0, "missing contact: every decision belongs to someone", None
    yield rows.episode < 0, "missing episode: the row does not say which it belongs to", None
    yield np.isnan(p), "missing propensity: 1 is no stand-in for it", None
    yield (
        (p <= 0.0) | (p > 1.0 + TOLERANCE),
        "bad propensity: {} is outside (0, 1]; an action that was taken had a chance",
        p,
    )
    yield ~np.isfinite(rows.reward), "missing reward: expected a finite number", None
    for name, values in rows.outcomes.items():
        yield ~np.isfinite(values), f"missing outcome: {name!r} is not a finite number", None
    for column, name in enumerate(rows.meaning.features):
        values = rows.features[:, column]
        yield ~np.isfinite(values), f"missing feature: {name!r} is not a finite number", None
        yield np.abs(values) > _WIDEST, f"bad feature: {name!r} is {{}}, {_BEYOND}", values


def _choices(rows: LoggedRows) -> Iterator[Finding]:
    known = rows.action >= 0
    yield ~known, "unknown action: it is none of the log's actions", None
    yield np.asarray(~rows.mask.any(axis=1)), "no legal action: the mask forbids all of them", None
    here = np.arange(rows.line.size)
    legal = rows.mask[here, np.maximum(rows.action, 0)]
    yield known & ~legal, "illegal action: the row's own mask forbids it", None


def _distributions(rows: LoggedRows) -> Iterator[Finding]:
    if rows.logged is not None:
        yield from _distribution(rows.logged, rows.mask, "logged distribution")
        here = np.arange(rows.line.size)
        stated = rows.logged[here, np.maximum(rows.action, 0)]
        allowed = match_tolerance(
            table_decimals(rows.logged), row_decimals(written_decimals(rows.propensity))
        )
        off = ~(np.abs(stated - rows.propensity) <= allowed)
        yield (
            off,
            "contradicting propensity: the logged distribution says {} for this action",
            stated,
        )
    for name, table in rows.targets.items():
        yield from _distribution(table, rows.mask, f"distribution of policy {name!r}")


def _distribution(table: FloatArray, mask: BoolArray, name: str) -> Iterator[Finding]:
    yield (
        np.asarray(~(table >= 0.0).all(axis=1)),
        f"bad {name}: an entry is negative or missing",
        None,
    )
    yield (
        np.asarray(((table != 0.0) & ~mask).any(axis=1)),
        f"bad {name}: it takes masked actions",
        None,
    )
    total = table.sum(axis=1)
    yield ~sums_to_one(table), f"bad {name}: it sums to {{}}, not to 1", total


def _repeats(rows: LoggedRows, faults: Texts) -> None:
    """Decisions twice at one step, episodes of several contacts, decisions after the end."""
    order = np.lexsort((rows.line, rows.step, rows.episode))
    same_episode = rows.episode[order][1:] == rows.episode[order][:-1]
    twice = same_episode & (rows.step[order][1:] == rows.step[order][:-1])
    for i in np.flatnonzero(twice):
        first, second = int(order[i]), int(order[i + 1])
        where = f"{rows.place} {rows.line[first]}"
        if _equal(rows, first, second):
            later = f"duplicate: the same decision stands in {where}"
        else:
            later = f"conflict: {where} says otherwise about this episode and step"
            _note(faults, first, later.replace(where, f"{rows.place} {rows.line[second]}"))
        _note(faults, second, later)
    for i in np.flatnonzero(same_episode & (rows.contact[order][1:] != rows.contact[order][:-1])):
        first, second = int(order[i]), int(order[i + 1])
        where = f"{rows.place} {rows.line[first]}"
        _note(faults, second, f"conflict: {where} gives this episode to another contact")
    if rows.terminal is not None:
        for i in np.flatnonzero(same_episode & rows.terminal[order][:-1]):
            first, second = int(order[i]), int(order[i + 1])
            where = f"{rows.place} {rows.line[first]}"
            _note(faults, second, f"conflict: {where} already ended this episode")


def _note(faults: Texts, row: int, text: str) -> None:
    if faults[row] == "":
        faults[row] = text


def _equal(rows: LoggedRows, first: int, second: int) -> bool:
    columns = [rows.action, rows.propensity, rows.reward, rows.contact, rows.features, rows.mask]
    columns += [rows.logged] if rows.logged is not None else []
    return all(np.array_equal(values[first], values[second]) for values in columns)
