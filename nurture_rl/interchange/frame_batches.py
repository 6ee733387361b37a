"""A Parquet table through the door of frames, batch after batch, in bounded memory.

What is sound throughout is taken as it lies; a batch in which anything is odd goes through
`read_frame` and the checks of `admit`, row by row, and comes out with the same reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.interchange.admission import Admission, admitted, sifted
from nurture_rl.interchange.frames import (
    FrameColumns,
    FrameMeaning,
    factors_of,
    logged_actions,
    meaning_of,
    read_frame,
    require_columns,
)
from nurture_rl.interchange.logged_rows import RefusedRow
from nurture_rl.interchange.missing import label
from nurture_rl.logs.vocabulary import NOBODY
from nurture_rl.ope.contact_hash import HashArray, text_ids
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.log_checks import TOLERANCE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """A part of a table, checked."""

    admission: Admission | None  # of its good rows; None where it has none
    contact: HashArray  # 64-bit number of each good row's contact, in the admission's order, [n]
    decision: HashArray  # of each good row's decision id; empty where no column names it
    refused: tuple[RefusedRow, ...]
    read: int  # rows


@dataclass(frozen=True, slots=True, eq=False)
class FrameDoor:
    """How the batches of one table are read."""

    path: Path
    columns: FrameColumns
    meaning: FrameMeaning  # with the actions named
    sound: bool = True  # take sound batches as they lie; False checks every one row by row

    @property
    def actions(self) -> tuple[str, ...]:
        """Names, [a]."""
        return tuple(map(str, self.meaning.actions))

    def batch(self, table: pa.Table, first: int) -> FrameBatch:
        """Check a part of the table.

        Args:
            table: its rows, with the columns of `needed`.
            first: rows of the whole table before it.

        Raises:
            LogError, ConfigError, ShapeError: what cannot be read at all.
        """
        contact = ids_of(table[self.columns.contact])
        decision = np.zeros(0, dtype=np.uint64)
        if self.columns.decision is not None:
            decision = ids_of(table[self.columns.decision])
        sound_rows = self._as_it_lies(table, first) if self.sound else None
        if sound_rows is not None:
            return FrameBatch(sound_rows, contact, decision, (), len(table))
        rows = read_frame(table, self.columns, self.meaning)
        rows = replace(rows, source=self.path.name, line=rows.line + first)
        kept, refused = sifted(rows)
        if kept.size == 0:
            nothing = np.zeros(0, dtype=np.uint64)
            return FrameBatch(None, nothing, nothing, refused, len(table))
        admission = admitted(rows, kept, refused)
        place = admission.line - 1 - first
        known = decision[place] if decision.size else decision
        return FrameBatch(admission, contact[place], known, refused, len(table))

    def _as_it_lies(self, table: pa.Table, first: int) -> Admission | None:
        """The batch without a look at single rows; None where one is odd."""
        try:
            return _sound(self, table, first)
        except _Odd:
            return None


class _Odd(Exception):
    """A batch must be looked at row by row."""


def open_door(path: Path, columns: FrameColumns, meaning: FrameMeaning) -> FrameDoor:
    """Look at a table's columns, and at its actions where none are named.

    Raises:
        LogError: a column is missing, or no action is logged; names the nearest.
        ConfigError: factors that do not fit the actions, or episodes without their order.
    """
    require_columns(pq.read_schema(path).names, columns, meaning, path.name)
    if not meaning.actions:
        meaning = replace(meaning, actions=_actions_of(path, columns.action))
    factors_of(meaning, tuple(map(str, meaning.actions)))
    return FrameDoor(path, columns, meaning)


def needed(columns: FrameColumns, meaning: FrameMeaning) -> list[str]:
    """Columns of the table that sums are made from."""
    columns_needed = [columns.action, columns.propensity, columns.reward, columns.contact]
    told = columns.decision, columns.episode, columns.step, columns.terminal, columns.when
    columns_needed += [name for name in told if name is not None]
    columns_needed += [*columns.features, *columns.mask, *columns.logged_probabilities]
    columns_needed += [*columns.outcomes, *columns.segments]
    columns_needed += [name for names in meaning.policies.values() for name in names]
    return list(dict.fromkeys(columns_needed))


def ids_of(column: pa.ChunkedArray) -> HashArray:
    """64-bit numbers of ids: whole numbers stand for themselves, texts for their hash, [n].

    What names nobody has a number too; such rows are set aside elsewhere.
    """
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.cast(whole.type.value_type)
    if pa.types.is_integer(whole.type):
        filled = whole.fill_null(0) if whole.null_count else whole
        number = np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.int64)
        return number.view(np.uint64)
    if not _is_text(whole.type):
        whole = pa.array([label(value) for value in whole.to_pylist()], pa.large_string())
    text = (whole.fill_null("") if whole.null_count else whole).cast(pa.large_string())
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return text_ids(content, ends)


def _sound(door: FrameDoor, table: pa.Table, first: int) -> Admission:
    columns, meaning, n = door.columns, door.meaning, len(table)
    _require(n > 0 and not columns.mask)
    if columns.when is not None:
        kind = table[columns.when].type
        _require(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
    for name in columns.outcomes:
        _numbers(table, name, meaning.missing)
    actions = tuple(map(str, meaning.actions))
    ids = [columns.contact, *([] if columns.decision is None else [columns.decision])]
    for name in ids:
        _require_named(table[name], meaning.missing)
    action = _places(table[columns.action], actions)
    propensity = _numbers(table, columns.propensity, meaning.missing)
    reward = _numbers(table, columns.reward, meaning.missing)
    _require(bool(propensity.min() > 0.0) and bool(propensity.max() <= 1.0 + TOLERANCE))
    features = np.empty((n, len(columns.features)), dtype=np.float32)
    for j, name in enumerate(columns.features):
        features[:, j] = _numbers(table, name, meaning.missing)
    _require(bool(np.isfinite(features).all()))
    logged = None
    if columns.logged_probabilities:
        logged = _distributions(table, columns.logged_probabilities, len(actions))
        stated = logged[np.arange(n), action]
        _require(bool((np.abs(stated - propensity) <= TOLERANCE).all()))
        propensity = stated
    every = np.arange(n, dtype=np.int64)
    log = EvaluationLog(
        features=features,
        mask=np.broadcast_to(True, (n, len(actions))),
        action=action,
        propensity=np.minimum(propensity, 1.0),
        logged_probabilities=logged,
        reward=reward,
        episode=every,
        step=np.broadcast_to(np.int64(0), n),
        cluster=every,
        terminal=np.broadcast_to(True, n),
        action_factors=factors_of(meaning, actions),
        discount=meaning.discount,
        unit=meaning.unit,
    )
    return Admission(
        source=door.path.name,
        log=log,
        meaning=meaning_of(columns, meaning, actions),
        targets={
            name: _distributions(table, tuple(names), len(actions))
            for name, names in meaning.policies.items()
        },
        day=None,
        segments={},
        outcomes={},
        line=every + 1 + first,
        read=n,
        refused=(),
        notes=(),
        fingerprint="",
    )


def _require(met: bool) -> None:
    if not met:
        raise _Odd


def _numbers(table: pa.Table, name: str, missing: Sequence[float]) -> FloatArray:
    """A column of finite numbers, none of which stands for missing, [n]."""
    numbers = _plain(table, name)
    _require(bool(np.isfinite(numbers).all()))
    _require(not missing or not bool(np.isin(numbers, list(missing)).any()))
    return numbers


def _plain(table: pa.Table, name: str) -> FloatArray:
    """A column of numbers without an empty cell; NaN may be among them, [n]."""
    column = table[name].combine_chunks()
    kind = column.type
    plain = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    _require(plain and not column.null_count)
    return np.asarray(column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False))


def _places(column: pa.ChunkedArray, actions: tuple[str, ...]) -> IntArray:
    """Position of each row's action, [n]."""
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.cast(whole.type.value_type)
    _require(not whole.null_count and (_is_text(whole.type) or pa.types.is_integer(whole.type)))
    if pa.types.is_integer(whole.type):
        number = whole.to_numpy(zero_copy_only=False)
        if actions == tuple(str(place) for place in range(len(actions))):
            _require(bool(number.min() >= 0) and bool(number.max() < len(actions)))
            return np.asarray(number, dtype=np.int64)
        whole = pc.cast(whole, pa.string())
    places = pc.index_in(whole, value_set=pa.array(actions, whole.type))
    _require(not places.null_count)
    return np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64)


def _distributions(table: pa.Table, names: tuple[str, ...], width: int) -> FloatArray:
    """Rows that sum to 1, [n, a]."""
    _require(len(names) == width and width > 1)
    probabilities, total = np.empty((width, len(table))), np.zeros(len(table))
    for k, name in enumerate(names):
        probabilities[k] = _plain(table, name)
        _require(bool(probabilities[k].min() >= 0.0))
        total += probabilities[k]
    _require(bool(total.min() >= 1.0 - TOLERANCE) and bool(total.max() <= 1.0 + TOLERANCE))
    return probabilities.T


def _require_named(column: pa.ChunkedArray, missing: Sequence[float]) -> None:
    """Every cell of a column of ids names someone."""
    _require(not column.null_count and not missing)
    if pa.types.is_integer(column.type):
        return
    _require(_is_text(column.type))
    bare = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    _require(not pc.any(pc.is_in(bare, value_set=pa.array(sorted(NOBODY), bare.type))).as_py())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _actions_of(path: Path, name: str) -> tuple[str, ...]:
    """The actions that were logged, from a pass over their column alone."""
    used: set[str] = set()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=[name]):
            column = batch.column(0)
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            used |= {label(value) for value in pc.unique(column).to_pylist()}
    actions = logged_actions(np.array(sorted(used), dtype=object))
    if not actions:
        raise LogError(
            f"expected actions in column {name!r} of {path.name}, got none; name the column that "
            "holds them by data.columns.action"
        )
    return actions
