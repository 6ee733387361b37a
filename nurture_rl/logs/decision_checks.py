"""What a logged decision must say to be used for evaluation: a legal action of a proper lottery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.precision import (
    FLOOR,
    match_tolerance,
    row_decimals,
    sum_tolerance,
    written_decimals,
)
from nurture_rl.logs.quarantine import first_reason, reason_where, sift
from nurture_rl.logs.readers import RawTable
from nurture_rl.logs.schema import TableKind

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Lottery:
    """The probabilities and masks of n decisions, laid end to end."""

    starts: IntArray  # where each decision's actions begin, [n]
    row: IntArray  # decision of each entry, [entries]
    probability: FloatArray  # [entries]
    legal: BoolArray  # [entries]
    decimals: IntArray  # how precisely each decision's probabilities were written, [n]


def check_decisions(
    rows: pa.Table, action_ids: tuple[str, ...] | None, catalog_hash: str | None
) -> RawTable:
    """Keep decisions whose probabilities, mask, action and propensity agree with one another.

    A missing propensity is not a fault: it stays null. Numbers are compared with the precision they
    were written with. A distribution with few decimals is rescaled to a sum of 1, and the
    propensity becomes the taken action's probability.

    Args:
        rows: decisions with every required field, [n].
        action_ids: the catalogue's actions in order; None leaves unchecked what needs them.
        catalog_hash: the catalogue's hash; None accepts any.
    """
    rows = rows.combine_chunks()
    shape = RawTable(
        *sift(rows, TableKind.DECISIONS, _shape_reasons(rows, action_ids, catalog_hash))
    )
    kept = shape.rows.combine_chunks()
    values = RawTable(*sift(kept, TableKind.DECISIONS, _value_reasons(kept, action_ids)))
    rows = _settled(values.rows.combine_chunks(), action_ids)
    return RawTable(rows, pa.concat_tables([shape.quarantine, values.quarantine]))


def _shape_reasons(
    rows: pa.Table, action_ids: tuple[str, ...] | None, catalog_hash: str | None
) -> pa.Array:
    probabilities = pc.list_value_length(_cells(rows, "probabilities"))
    masks = pc.list_value_length(_cells(rows, "mask"))
    lengths = [
        "wrong length: ",
        probabilities.cast(pa.string()),
        " probabilities and a mask of ",
        masks.cast(pa.string()),
    ]
    reasons = [reason_where(pc.not_equal(probabilities, masks), *lengths)]
    if catalog_hash is not None:
        catalog = _cells(rows, "catalog")
        other = pc.not_equal(catalog, catalog_hash)
        expected = f", expected {catalog_hash}"
        reasons.append(reason_where(other, "other catalogue: logged under ", catalog, expected))
    if action_ids is not None:
        action = _cells(rows, "action")
        unknown = pc.invert(pc.is_in(action, value_set=pa.array(action_ids, pa.string())))
        count = len(action_ids)
        reasons += [
            reason_where(unknown, "unknown action: '", action, "' is not in the catalogue"),
            reason_where(pc.not_equal(masks, count), *lengths, f" for {count} actions"),
        ]
    return first_reason(reasons)


def _value_reasons(rows: pa.Table, action_ids: tuple[str, ...] | None) -> pa.Array:
    lottery = _lottery(rows)
    n = len(rows)
    entries = np.bincount(lottery.row, weights=lottery.legal, minlength=n)
    total = np.bincount(lottery.row, weights=lottery.probability, minlength=n)
    negative = np.bincount(lottery.row, weights=lottery.probability < 0, minlength=n) > 0
    outside = (lottery.probability > 0) & ~lottery.legal
    forbidden = np.bincount(lottery.row, weights=outside, minlength=n) > 0
    propensity = _cells(rows, "propensity")
    unfit = pc.or_(pc.less_equal(propensity, 0.0), pc.greater(propensity, 1.0))
    reasons = [
        reason_where(
            pa.array(~(np.abs(total - 1.0) <= sum_tolerance(lottery.decimals, entries))),
            "probabilities do not sum to 1: they sum to ",
            pa.array(total).cast(pa.string()),
        ),
        reason_where(pa.array(negative), "negative probability"),
        reason_where(
            unfit, "propensity outside (0, 1]: ", propensity.cast(pa.string()), "; null if unknown"
        ),
    ]
    if action_ids is not None:
        reasons += _action_reasons(rows, lottery, action_ids)
    reasons.append(reason_where(pa.array(forbidden), "probability on an action its mask forbids"))
    return first_reason(reasons)


def _action_reasons(
    rows: pa.Table, lottery: _Lottery, action_ids: tuple[str, ...]
) -> list[pa.Array]:
    action = _cells(rows, "action")
    index = np.asarray(pc.index_in(action, value_set=pa.array(action_ids, pa.string())))
    entry = lottery.starts + index
    propensity = _cells(rows, "propensity")
    chosen = lottery.probability[entry]
    logged = np.asarray(propensity.fill_null(float("nan")))
    allowed = match_tolerance(row_decimals(written_decimals(logged)), lottery.decimals)
    differs = np.abs(logged - chosen) > allowed  # never true of a missing propensity
    return [
        reason_where(
            pa.array(~lottery.legal[entry]), "illegal action: its mask forbids '", action, "'"
        ),
        reason_where(
            pa.array(differs),
            "propensity is not the action's probability: ",
            propensity.cast(pa.string()),
            " against ",
            pa.array(chosen).cast(pa.string()),
        ),
    ]


def _settled(rows: pa.Table, action_ids: tuple[str, ...] | None) -> pa.Table:
    """The rows with every distribution that rounding left off by more than `FLOOR` put right."""
    lottery = _lottery(rows)
    n, wanted = len(rows), lottery.probability.copy()
    fixed = np.zeros(wanted.size, dtype=bool)  # entries that stand for the propensity
    if action_ids is not None and n:
        logged = np.asarray(_cells(rows, "propensity").fill_null(float("nan")))
        index = pc.index_in(_cells(rows, "action"), value_set=pa.array(action_ids, pa.string()))
        taken = (lottery.starts + np.asarray(index))[np.isfinite(logged)]
        fixed[taken] = True
        wanted[taken] = logged[np.isfinite(logged)]
    kept = np.bincount(lottery.row, weights=wanted * fixed, minlength=n)
    rest = np.bincount(lottery.row, weights=wanted * ~fixed, minlength=n)
    scale = np.divide(1.0 - kept, rest, out=np.ones(n), where=rest > 0.0)
    wanted = np.where(fixed, wanted, wanted * scale[lottery.row])
    total = np.bincount(lottery.row, weights=lottery.probability, minlength=n)
    moved = np.bincount(
        lottery.row, weights=np.abs(wanted - lottery.probability) * fixed, minlength=n
    )
    off = (np.abs(total - 1.0) > FLOOR) | (moved > FLOOR)
    if not off.any():
        return rows
    column = _cells(rows, "probabilities")
    values = np.where(off[lottery.row], wanted, lottery.probability)
    ends = np.append(lottery.starts, lottery.row.size)
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values))
    return with_column(rows, "probabilities", lists.cast(column.type))


def _lottery(rows: pa.Table) -> _Lottery:
    probabilities = _cells(rows, "probabilities")
    lengths = np.asarray(pc.list_value_length(probabilities)).astype(np.int64)
    row = np.repeat(np.arange(len(rows)), lengths)
    probability = np.asarray(probabilities.flatten())
    most = np.zeros(len(rows), np.int64)
    np.maximum.at(most, row, written_decimals(probability))
    return _Lottery(
        starts=np.cumsum(lengths) - lengths,
        row=row,
        probability=probability,
        legal=np.asarray(_cells(rows, "mask").flatten()).astype(np.bool_),
        decimals=row_decimals(most),
    )


def _cells(rows: pa.Table, name: str) -> pa.Array:
    column = rows[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
