"""Decisions in a plain table: CSV, Parquet or any data frame, with columns named by a mapping."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_envs.fields import hint
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.interchange.cells import TableColumns
from nurture_rl.interchange.containers import require_file
from nurture_rl.interchange.logged_rows import LoggedRows, Meaning, RefusedRow
from nurture_rl.logs.csv_blocks import read_csv

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Texts = NDArray[np.object_]
LAST_STEP = 2**53  # whole numbers beyond it are not told apart
SUFFIXES = (".parquet", ".csv", ".csv.gz")


_SOURCE = "propensity_source"  # a column of logs that were made of sends


@dataclass(frozen=True, slots=True)
class FrameColumns:
    """How the columns of a table are called; None or empty where it has no such column."""

    action: str = "action"  # what was done
    propensity: str = "propensity"  # with what probability, in (0, 1]
    reward: str = "reward"  # what came of the decision
    contact: str = "contact"  # whom it was for
    episode: str | None = None  # None: every row is an episode of one decision
    step: str | None = None  # bin of the decision; needed with `episode`
    decision: str | None = None  # id of the decision, by which copies are told
    when: str | None = None  # day or time of the decision
    terminal: str | None = None  # the world ended with this decision
    features: tuple[str, ...] = ()  # what the decision could know
    mask: tuple[str, ...] = ()  # a column per action, or one column of lists
    logged_probabilities: tuple[str, ...] = ()  # of the logging policy, as with `mask`
    segments: tuple[str, ...] = ()  # labels to break values down by
    outcomes: tuple[str, ...] = ()  # harms counted beside the reward, such as complaints


@dataclass(frozen=True, slots=True)
class FrameMeaning:
    """What a table does not say about itself."""

    actions: tuple[str, ...] = ()  # in the order of masks and policies; empty: those logged
    factors: Mapping[str, Sequence[float]] = field(default_factory=dict)  # per action
    unit: str = "reward"
    discount: float = 1.0  # per bin
    policies: Mapping[str, Sequence[str]] = field(default_factory=dict)  # columns per policy
    missing: tuple[float, ...] = ()  # numbers that stand for missing, such as -999
    values: tuple[float, ...] = ()  # numbers that look so and are true


def read_frame(source: Path | Any, columns: FrameColumns, meaning: FrameMeaning) -> LoggedRows:
    """Read a table into rows for `admit`.

    Args:
        source: a CSV (also gzipped) or Parquet file, an Arrow table, or a data frame that speaks
            Arrow (pandas, polars and others do).
        columns: what its columns are called.
        meaning: the actions, the unit and target policies given as columns.

    Raises:
        LogError: the file cannot be read, lacks a column, or writes a code for contacts that nobody
            knows; names it.
        ConfigError: an episode without a step column, or factors that do not fit the actions.
    """
    table, line, place, broken, name = _table(source)
    if broken and not len(table):
        raise _unreadable(name, place, broken[0])
    require_columns(table.column_names, columns, meaning, name)
    cells = TableColumns(table, name)
    contact = cells.people(columns.contact, meaning.missing, meaning.values)
    actions, action = _actions(cells, columns, meaning)
    n, a = len(table), len(actions)
    mask = np.ones((n, a), dtype=np.bool_)
    if columns.mask:
        mask = cells.legal(columns.mask, a)
    logged = None
    if columns.logged_probabilities:
        logged = cells.table_of(columns.logged_probabilities, a, "columns.logged_probabilities")
    episode, step = _episodes(cells, columns, line, meaning.missing)
    return LoggedRows(
        source=name,
        place=place,
        line=line,
        meaning=meaning_of(columns, meaning, actions),
        action=action,
        propensity=cells.numbers(columns.propensity),
        reward=cells.numbers(columns.reward),
        contact=contact,
        episode=episode,
        step=step,
        features=np.column_stack(
            [np.zeros((n, 0)), *(cells.numbers(one) for one in columns.features)]
        ),
        mask=mask,
        logged=logged,
        terminal=None if columns.terminal is None else cells.truths(columns.terminal),
        targets={
            policy: cells.table_of(tuple(names), a, f"targets.{policy}.columns")
            for policy, names in meaning.policies.items()
        },
        day=None if columns.when is None else cells.days(columns.when),
        segments={label: cells.labels(label) for label in columns.segments},
        outcomes={name: cells.numbers(name) for name in columns.outcomes},
        faults=cells.faults,
        broken=broken,
        notes=notes_of(columns, meaning, actions),
    )


def meaning_of(columns: FrameColumns, meaning: FrameMeaning, actions: tuple[str, ...]) -> Meaning:
    """What the rows of a table mean, once its actions are known."""
    return Meaning(
        actions,
        columns.features,
        factors_of(meaning, actions),
        meaning.unit,
        meaning.discount,
        meaning.missing,
    )


def _unreadable(name: str, place: str, first: RefusedRow) -> LogError:
    return LogError(
        f"no row of {name} can be read, the first for this: {place} {first.line}: {first.reason}; "
        "save it as CSV in UTF-8"
    )


def _table(
    source: Path | Any,
) -> tuple[pa.Table, IntArray, str, tuple[RefusedRow, ...], str]:
    """The table, where its rows stand, what that counts, broken lines, and its name."""
    if not isinstance(source, Path):
        try:
            table = source if isinstance(source, pa.Table) else pa.table(source)
        except (TypeError, ValueError, pa.ArrowInvalid) as error:
            raise LogError(
                f"expected a table that Arrow can read, got {type(source).__name__}: {error}"
            ) from error
        return table, np.arange(1, len(table) + 1, dtype=np.int64), "row", (), "the data frame"
    require_file(source, "a table", "data.path")
    try:
        if source.suffix == ".parquet":
            table = pq.ParquetFile(source).read()
            return table, np.arange(1, len(table) + 1, dtype=np.int64), "row", (), source.name
        if source.name.endswith((".csv", ".csv.gz")):
            records = read_csv(source)
            broken = tuple(RefusedRow(source.name, bad.line, bad.reason) for bad in records.bad)
            return records.table, records.lines, "line", broken, source.name
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise LogError(
            f"expected {source.name} to be a whole, readable table, got: "
            f"{' '.join(str(error).split())}; write it again"
        ) from error
    raise LogError(f"expected a file ending in one of {', '.join(SUFFIXES)}, got {source.name}")


def require_columns(
    known: Sequence[str], columns: FrameColumns, meaning: FrameMeaning, source: str
) -> None:
    """Refuse a table that lacks what a mapping names, or has it twice.

    Args:
        known: its columns.
        columns: the mapping.
        meaning: target policies given as columns.
        source: name of the table.

    Raises:
        LogError: a column is missing or there twice, and names the nearest; or the table says
            where its propensities come from, which nobody would read.
        ConfigError: a column that is named twice or for two things, or episodes without their
            order.
    """
    if _SOURCE in known:
        raise LogError(
            f"{source} has the column {_SOURCE}: its propensities may be a model's, whose numbers "
            "mean nothing without bounds; read the log with data=folder, or take the column away "
            "if they are those the actions were drawn with"
        )
    asked: list[tuple[str, str]] = []
    for one in fields(columns):
        value = getattr(columns, one.name)
        names = value if isinstance(value, tuple) else () if value is None else (value,)
        asked += [(f"columns.{one.name}", name) for name in names]
        if len(set(names)) < len(names):
            raise ConfigError(f"columns.{one.name}: expected each column once, got {list(names)}")
    _require_apart(asked)
    asked += [
        (f"targets.{policy}.columns", name)
        for policy, names in meaning.policies.items()
        for name in names
    ]
    for where, name in asked:
        if known.count(name) > 1:
            raise LogError(
                f"{source} has {known.count(name)} columns {name!r} ({where}); give "
                "each column a name of its own"
            )
        if name not in known:
            if not known:
                raise LogError(f"{source} is empty; expected a line that names its columns")
            near = hint(name, known)
            if len(known) == 1 and any(mark in known[0] for mark in ";\t|"):
                near += "; cells must be set apart by commas"
            raise LogError(
                f"{source} has no column {name!r} ({where}){near}; known columns: "
                f"{', '.join(known)}"
            )
    if columns.episode is not None and columns.step is None:
        raise ConfigError(
            f"columns.step: {source} has episodes ({columns.episode!r}), so name the column that "
            "orders their decisions"
        )


def _require_apart(asked: Sequence[tuple[str, str]]) -> None:
    """Refuse a column that stands for what was done, its chance or its reward, and for more.

    Rows may be broken down by any column, any may be counted beside the reward, and a decision may
    have known its propensity.

    Args:
        asked: settings and the columns that they name.
    """
    core = {f"columns.{name}": name for name in ("action", "propensity", "reward")}
    free = {"columns.segments", "columns.outcomes"}
    for where, column in asked:
        for other, name in asked:
            known = (where, other) == ("columns.propensity", "columns.features")
            if where in core and other not in {where, *free} and column == name and not known:
                raise ConfigError(
                    f"{where} and {other} both name column {name!r}; the {core[where]} of a "
                    "decision is nothing else: name the column of each"
                )


def _actions(
    cells: TableColumns, columns: FrameColumns, meaning: FrameMeaning
) -> tuple[tuple[str, ...], IntArray]:
    """The log's actions, and the position of each row's among them, -1 for none, [n]."""
    texts, place = cells.coded(columns.action)
    if place.size == 0:
        raise LogError(f"{cells.source} holds no decision; expected one row per decision")
    used = texts[np.unique(place)]
    actions = tuple(map(str, meaning.actions)) or logged_actions(used)
    if not actions:
        raise LogError(
            f"expected actions in column {columns.action!r} of {cells.source}, got none in any of "
            f"its {place.size} rows; name the column that holds them by data.columns.action"
        )
    position = {action: k for k, action in enumerate(actions)}
    action = np.array([position.get(text, -1) for text in texts], dtype=np.int64)[place]
    for i in np.flatnonzero(action < 0):
        if cells.faults[i] == "":
            cells.faults[i] = f"unknown action: {texts[place[i]]!r} is none of {', '.join(actions)}"
    return actions, action


def _episodes(
    cells: TableColumns, columns: FrameColumns, line: IntArray, missing: tuple[float, ...]
) -> tuple[IntArray, IntArray]:
    """Episode and step of each row; without episodes, rows of one decision id are copies."""
    n = line.size
    if columns.episode is not None and columns.step is not None:
        step = cells.numbers(columns.step)
        whole = (np.abs(step) <= LAST_STEP) & (step == np.round(step))
        for i in np.flatnonzero(~whole & (cells.faults == "")):
            cells.faults[i] = f"bad step: {columns.step} is {step[i]:g}, expected a whole number"
        return cells.ids(columns.episode, missing), np.where(whole, step, 0).astype(np.int64)
    alone = np.zeros(n, dtype=np.int64)
    if columns.decision is not None:
        return cells.ids(columns.decision, missing), alone
    return np.arange(n, dtype=np.int64), alone


def logged_actions(used: Texts) -> tuple[str, ...]:
    """Actions by their names, or by number where all are numbers."""
    names = sorted({text for text in used if text})
    if all(name.lstrip("-").isdigit() for name in names):
        names.sort(key=int)
    return tuple(names)


def factors_of(meaning: FrameMeaning, actions: tuple[str, ...]) -> FloatArray:
    """Factor columns of the actions, [a, k]; one of its own for each where none are given.

    Raises:
        ConfigError: rows that do not fit the actions.
    """
    if not meaning.factors:
        return np.eye(len(actions))
    given = {str(name): row for name, row in meaning.factors.items()}
    for name, row in given.items():
        if not isinstance(row, Sequence) or not all(isinstance(one, int | float) for one in row):
            raise ConfigError(
                f"data.factors.{name}: expected a list of numbers such as [1, 0], got {row!r}"
            )
    lacking = [name for name in actions if name not in given]
    widths = {len(row) for row in given.values()}
    if lacking or len(widths) != 1:
        raise ConfigError(
            f"data.factors: expected one equally long row for each action, got lengths "
            f"{sorted(widths)} and none for {lacking}"
        )
    return np.array([given[name] for name in actions], dtype=np.float64)


def notes_of(
    columns: FrameColumns, meaning: FrameMeaning, actions: tuple[str, ...]
) -> tuple[str, ...]:
    """What is assumed of a table that does not say it."""
    notes = []
    if not meaning.actions:
        notes.append(
            f"the actions are the {len(actions)} that were logged ({', '.join(actions[:8])}"
            f"{', ...' if len(actions) > 8 else ''}); name data.actions if there are others"
        )
    if not columns.mask:
        notes.append("no mask was given: every action counts as legal in every decision")
    if not columns.logged_probabilities:
        notes.append(
            "the log holds the propensity of the logged action alone: a target's mass on actions "
            "the log gave no chance cannot be measured"
        )
    if columns.episode is None and columns.decision is None:
        notes.append(
            "neither episode nor decision id was named: every row counts as a decision of its "
            "own, and copies of a row cannot be told from equal decisions"
        )
    return tuple(notes)
