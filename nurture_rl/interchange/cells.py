"""Cells of a foreign table as numbers, labels and days; a cell that cannot be read is a fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.interchange.missing import label, labels, likely_nobody, nameless
from nurture_rl.interchange.row_checks import set_fault
from nurture_rl.ope.numbering import numbered_as_texts

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Texts = NDArray[np.object_]

_TRUE, _FALSE = {"true", "1", "1.0", "yes", "t"}, {"false", "0", "0.0", "no", "f"}

_NUMBERS = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_null,
)
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


class TableColumns:
    """The columns of one table, read by name; problems gather in `faults`."""

    def __init__(self, table: pa.Table, source: str) -> None:
        self.table = table
        self.source = source
        self.faults: Texts = np.full(len(table), "", dtype=object)

    def numbers(self, name: str) -> FloatArray:
        """A column as numbers, NaN where the cell is empty, [n]."""
        column = self._column(name)
        kind = column.type
        if any(is_kind(kind) for is_kind in _NUMBERS):
            wide = column.cast(pa.float64(), safe=False)
            return np.asarray(wide.to_numpy(zero_copy_only=False))
        if not any(is_text(kind) for is_text in _TEXTS):
            raise LogError(
                f"column {name!r} of {self.source} holds {kind}, expected numbers; convert it"
            )
        return self._parsed(name, column)

    def truths(self, name: str) -> BoolArray:
        """A column as booleans; true/false, 1/0 and yes/no are read, [n]."""
        texts = self.labels(name)
        lowered = np.array([text.lower() for text in texts], dtype=object)
        yes = np.isin(lowered, list(_TRUE))
        strange = ~yes & ~np.isin(lowered, list(_FALSE))
        for i in np.flatnonzero(strange & (self.faults == "")):
            self.faults[i] = f"unreadable cell: {name} is {texts[i]!r}, expected true or false"
        return np.asarray(yes)

    def labels(self, name: str) -> Texts:
        """A column as texts, "" where empty; whole numbers lose their ".0", [n]."""
        texts, place = self.coded(name)
        return texts[place]

    def coded(self, name: str) -> tuple[Texts, IntArray]:
        """Texts of a column, [k], and which of them each cell holds, [n]; one may come twice."""
        column = self._column(name)
        try:
            coded = column.dictionary_encode()
        except pa.ArrowNotImplementedError:  # lists and the like
            return labels(column.to_pylist()), np.arange(len(column), dtype=np.int64)
        if pa.types.is_integer(column.type):  # as `label` writes them, all at once
            texts = coded.dictionary.cast(pa.string()).to_pylist()
        else:
            texts = [label(value) for value in coded.dictionary.to_pylist()]
        place = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
        return np.array([*texts, ""], dtype=object), place.astype(np.int64)

    def ids(self, name: str, missing: Sequence[float] = ()) -> IntArray:
        """A column of ids as numbers, -1 where a cell names nobody, [n]."""
        column = self._column(name)
        if pa.types.is_signed_integer(column.type) and column.null_count == 0 and not missing:
            placed = numbered_as_texts(np.asarray(column, dtype=np.int64))
            if placed is not None:
                return placed
        known, number = self._numbered(name)
        return np.where(nameless(known, missing)[number], -1, number)

    def people(
        self, name: str, missing: Sequence[float] = (), values: Sequence[float] = ()
    ) -> IntArray:
        """`ids` of a column of contacts of whom none is likely nobody, [n].

        Args:
            name: the column of contacts.
            missing: numbers that the log writes where it has no id.
            values: numbers of which the log's owner says that they are true.

        Raises:
            LogError: all rows without a contact are one person; names the code and the settings
                that say what it is.
        """
        known, number = self._numbered(name)
        found = likely_nobody(known, np.bincount(number), (*missing, *values))
        if found is not None:
            code, rows = f"{found[0]:g}", found[1]
            raise LogError(
                f"column {name!r} of {self.source} holds {code} in {rows} of {number.size} rows, "
                "likely a code for contacts nobody knows: leave such cells empty to have their "
                f"rows set aside (data.missing=[{code}] does so in every column), or say by "
                f"data.values=[{code}] that it is one contact"
            )
        return np.where(nameless(known, missing)[number], -1, number)

    def _numbered(self, name: str) -> tuple[NDArray[np.str_], IntArray]:
        """The different texts that a column holds, [k], and which of them each cell is, [n]."""
        texts, place = self.coded(name)
        occurs = np.zeros(texts.size, dtype=np.bool_)
        occurs[place] = True
        number = np.full(texts.size, -1, dtype=np.int64)
        known, number[occurs] = np.unique(texts[occurs].astype(str), return_inverse=True)
        return known, number[place]

    def table_of(self, names: tuple[str, ...], width: int, what: str) -> FloatArray:
        """One number per action: a column each, or one column of lists, [n, width].

        Raises:
            LogError: another number of columns than actions, or a column that holds no lists.
        """
        if len(names) == width and (width > 1 or not self._is_list(names[0])):
            return np.column_stack([self.numbers(name) for name in names])
        if len(names) != 1 or not self._is_list(names[0]):
            raise LogError(
                f"{what}: expected one column for each of the {width} actions or one column of "
                f"lists, got {list(names)}; name them in the order of `actions`"
            )
        return self._lists(names[0], width)

    def legal(self, names: tuple[str, ...], width: int) -> BoolArray:
        """The legal actions: a column of truths each, or one column of lists, [n, width].

        Raises:
            LogError: as `table_of`.
        """
        if len(names) == width and not self._is_list(names[0]):
            return np.column_stack([self.truths(name) for name in names])
        return np.nan_to_num(self.table_of(names, width, "columns.mask")) > 0.0

    def days(self, name: str) -> NDArray[np.datetime64]:
        """A column of dates, times or ISO-8601 texts as days, [n]."""
        column = self._column(name)
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            micros = column.cast(pa.timestamp("us"), safe=False)
            return np.asarray(micros.to_numpy(zero_copy_only=False)).astype("datetime64[D]")
        days = np.full(len(column), np.datetime64("NaT"), dtype="datetime64[D]")
        for i, text in enumerate(column.to_pylist()):
            try:
                days[i] = np.datetime64(datetime.fromisoformat(str(text)).date())
            except ValueError:
                if self.faults[i] == "":
                    self.faults[i] = (
                        f"unreadable cell: {name} is {text!r}, expected an ISO-8601 date or time"
                    )
        return days

    def _column(self, name: str) -> Any:
        column = self.table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):  # categories of a data frame
            column = column.cast(column.type.value_type)
        return column

    def _is_list(self, name: str) -> bool:
        kind = self.table[name].type
        return bool(
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        )

    def _parsed(self, name: str, column: Any) -> FloatArray:
        texts = column.to_pylist()
        try:
            return np.array([text if text else "nan" for text in texts], dtype=np.float64)
        except ValueError:
            numbers = np.full(len(texts), np.nan)
            for i, text in enumerate(texts):
                try:
                    numbers[i] = float(text) if text else np.nan
                except ValueError:
                    if self.faults[i] == "":
                        self.faults[i] = f"unreadable cell: {name} is {text!r}, expected a number"
            return numbers

    def _lists(self, name: str, width: int) -> FloatArray:
        rows = self._column(name).to_pylist()
        lengths = np.array([-1 if row is None else len(row) for row in rows])
        wrong = lengths != width
        set_fault(
            self.faults,
            wrong,
            f"unreadable cell: {name} has {{}} entries, expected {width}",
            lengths,
        )
        lists = np.full((len(rows), width), np.nan)
        fits = np.flatnonzero(~wrong)
        for i in fits:
            try:
                lists[i] = np.array(rows[i], dtype=np.float64)
            except (TypeError, ValueError):
                if self.faults[i] == "":
                    self.faults[i] = (
                        f"unreadable cell: {name} is {rows[i]!r}, expected {width} numbers"
                    )
        return lists
