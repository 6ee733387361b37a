"""What the tables of a warehouse must be before features are worked out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from nurture_rl.errors import ConfigError, LogError

_LARGEST = 2.0**43  # below it sums of amounts are exact in 64 bits


class _Kind(NamedTuple):
    """What a column must hold."""

    expected: str
    fits: Callable[[dt.DataType], bool]
    read_as: str | None = None  # a kind of ibis; None: as it is


_ID = _Kind(
    "text, a whole number or a UUID",
    lambda kind: kind.is_string() or kind.is_integer() or kind.is_uuid(),
    "string",
)
_TEXT = _Kind("text", lambda kind: kind.is_string())
_INSTANT = _Kind("a time stamp", lambda kind: kind.is_timestamp())
_KINDS: dict[str, _Kind] = {
    "event_id": _ID,
    "decision_id": _ID,
    "contact_id": _ID,
    "occurred_at": _INSTANT,
    "recorded_at": _INSTANT,
    "decided_at": _INSTANT,
    "anchor": _Kind(
        "the contact's wall clock, a date or a time stamp without a time zone",
        lambda kind: kind.is_date() or (kind.is_timestamp() and kind.timezone is None),
        "timestamp",
    ),
    "step": _Kind("a whole number", lambda kind: kind.is_integer()),
    "value": _Kind("a number", lambda kind: kind.is_numeric() and not kind.is_boolean()),
    "is_machine": _Kind("true or false", lambda kind: kind.is_boolean()),
    "attributes": _Kind("JSON as text", lambda kind: kind.is_string() or kind.is_json()),
}


class Reads(Protocol):
    """What reads few rows of an engine."""

    def small(self, query: ir.Table) -> pa.Table:
        """The rows of a query that has few."""


def columns_of(
    table: ir.Table, name: str, needed: Sequence[str], useful: Sequence[str] = ()
) -> ir.Table:
    """A table with no other columns than these, ids as text.

    Args:
        table: of the log.
        name: what it is called.
        needed: columns that it must have.
        useful: columns that it may have.

    Raises:
        ConfigError: a column that is needed is missing, or one is of another kind.
    """
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise ConfigError(
            f"{name}: expected columns {', '.join(needed)}, got none called {', '.join(missing)}; "
            "make a view that has them"
        )
    read = {}
    for column in (*needed, *(one for one in useful if one in table.columns)):
        kind = table[column].type()
        wanted = _KINDS.get(column, _TEXT)
        if not wanted.fits(kind):
            raise ConfigError(
                f"{name}.{column}: expected {wanted.expected}, got {kind}; make a view that says "
                "it so"
            )
        read[column] = table[column].cast(wanted.read_as) if wanted.read_as else table[column]
    return table.select(**read)


def require_decisions(where: Reads, decisions: ir.Table) -> int:
    """Count the decisions.

    Args:
        where: the engine.
        decisions: the columns that each must have.

    Raises:
        LogError: there is none, a cell is empty, a step is below 0, or an id comes twice.
    """
    empty = {f"no_{name}": decisions[name].isnull().sum() for name in decisions.columns}
    asked = decisions.aggregate(
        rows=decisions.count(),
        ids=decisions.decision_id.nunique(),
        first=decisions.step.min(),
        **empty,
    )
    (found,) = where.small(asked).to_pylist()
    if not found["rows"]:
        raise LogError("decisions: the table has no row; there is nothing to work out")
    for name in decisions.columns:
        if found[f"no_{name}"]:
            raise LogError(
                f"decisions: expected {name} in each of {found['rows']} rows, got none in "
                f"{found[f'no_{name}']}; fill it in, or leave these rows out"
            )
    if found["first"] < 0:
        raise LogError(
            f"decisions: expected a step of 0 or more, got {found['first']}; bins count from anchor"
        )
    if found["rows"] != found["ids"]:
        raise LogError(
            f"decisions: expected a decision_id of its own for each of {found['rows']} rows, "
            f"got {found['ids']} different ones; take out rows that came twice"
        )
    return int(found["rows"])


def require_told_once(where: Reads, events: ir.Table) -> None:
    """Refuse events that count twice, and amounts that cannot be added.

    Args:
        where: the engine.
        events: those that features read; `event_id` and `value` are asked where they are known.

    Raises:
        LogError: there are such.
    """
    asked: dict[str, ir.Value] = {}
    if "event_id" in events.columns:
        asked["again"] = events.event_id.count() - events.event_id.nunique()
    if "value" in events.columns:
        amount = events.value.cast("float64")
        asked["wild"] = (~amount.isnan() & (amount.abs() >= _LARGEST)).sum()
    if not asked:
        return
    (found,) = where.small(events.aggregate(**asked)).to_pylist()
    if found.get("again"):
        raise LogError(
            f"events: expected each event_id once, got {found['again']} rows that come again; an "
            "event counts once for each row: take out rows that came twice"
        )
    if found.get("wild"):
        raise LogError(
            f"events: expected values between -{_LARGEST:g} and {_LARGEST:g}, got others in "
            f"{found['wild']} rows; mend them, or leave the value empty"
        )
