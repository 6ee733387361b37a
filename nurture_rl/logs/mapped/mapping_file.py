"""The mapping of a file: how it is written, and which of its columns say what."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

from nurture_envs.fields import Fields
from nurture_envs.yaml_once import read_yaml
from nurture_rl.errors import LogError
from nurture_rl.logs.reported.known_formats import FORMATS
from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, TableKind, raw_schema

SUFFIX = ".map.yaml"
DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".jsonl.gz")
TIME_WORDS = ("iso", "seconds", "milliseconds")
SEPARATORS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
OTHERS = ("refuse", "leave_out", "keep", "empty")
MAPPED = (TableKind.EVENTS, TableKind.CONTACTS)  # decisions are what a policy logged


@dataclass(frozen=True, slots=True)
class CellSource:
    """Where a cell of a table comes from: a column of the file, or one word for all rows."""

    column: str | None  # None: `constant` for every row
    constant: str | None
    values: Mapping[str, str | None]  # by `plain_cell`: the word; None: as if it were empty
    others: str  # what a cell that is not in `values` means; one of OTHERS


@dataclass(frozen=True, slots=True)
class TableMapping:
    """What a row of the file says as a row of one table."""

    kind: TableKind
    sources: Mapping[str, CellSource]  # by column of the table
    keep: tuple[str, ...]  # columns that go on under their own names, as properties or attributes
    if_given: str | None  # a column without which a row of the file says nothing here


@dataclass(frozen=True, slots=True)
class FileMapping:
    """How one file, or several of one kind, are read."""

    path: Path  # of the mapping
    file: str  # name beside the mapping; * stands for any characters
    encoding: str
    separator: str
    decimal: str
    times: str  # one of TIME_WORDS, or a pattern such as "%d.%m.%Y %H:%M"
    zone: str  # IANA name, of times that name no zone themselves
    tables: tuple[TableMapping, ...]  # empty where there is a format
    format: str | None = None  # whose rows they are, by a name of FORMATS
    stages: Mapping[str, str | None] = field(
        default_factory=dict
    )  # by `plain_cell`; None: left out
    types: Mapping[str, str | None] = field(default_factory=dict)  # by what a row calls its event

    def files(self) -> list[Path]:
        """The files that it maps, in order of their names."""
        beside = self.path.parent.iterdir()
        return sorted(
            path for path in beside if fnmatchcase(path.name, self.file) and path.is_file()
        )


def load_mapping(path: Path) -> FileMapping:
    """Read and check a mapping.

    Raises:
        LogError: it cannot be read, is no mapping, or still asks questions; all is named at once.
    """
    try:
        # Every scalar is text: `yes`, `1.10` and 2026-01-02 are the words that cells hold.
        data = read_yaml(path.read_text("utf-8"), words=True)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LogError(
            f"{path}: expected a mapping (YAML), got {error}; "
            "see docs/starting-from-files.md for one"
        ) from error
    problems: list[str] = []
    f = Fields({"mapping": data}, "", problems).mapping("mapping")
    questions = [str(one) for one in f.items("questions", [])]
    mapping = _read(f, path) if not questions else None
    if questions:
        told = "\n  ".join(questions)
        raise LogError(
            f"{path}: what the file does not tell must be said by somebody who knows. Answer in "
            f"the mapping, and take the answered questions out of it:\n  {told}"
        )
    if problems or mapping is None:
        told = "\n  ".join(one.removeprefix("mapping.") for one in problems)
        raise LogError(f"{path}: the mapping has problems; mend them and run again:\n  {told}")
    return mapping


def mappings_in(folder: Path) -> list[FileMapping]:
    """Every mapping of a folder, in order of their names.

    Raises:
        LogError: one of them cannot be used, or two are of one file.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    found = [load_mapping(path) for path in paths]
    of: dict[Path, Path] = {}
    for mapping in found:
        files = mapping.files()
        if not files:
            raise LogError(
                f"{mapping.path}: expected a file {mapping.file!r} beside it, there is none; put "
                "it there, or take the mapping away"
            )
        for file in files:
            if file in of:
                raise LogError(
                    f"{file.name} is mapped by {of[file].name} and by {mapping.path.name}; keep one"
                )
            of[file] = mapping.path
    return found


def _read(f: Fields, path: Path) -> FileMapping:
    if f.has("format"):
        return _of_format(f, path)
    mapping = FileMapping(
        path=path,
        file=_file(f),
        encoding=_encoding(f),
        separator=f.text("separator", ",", among=SEPARATORS),
        decimal=f.text("decimal", ".", among=DECIMALS),
        times=_times(f),
        zone=_zone(f),
        tables=_tables(f),
    )
    f.finish()
    return mapping


def _of_format(f: Fields, path: Path) -> FileMapping:
    """The mapping of rows whose meaning is known: it says no more than how the file is written."""
    mapping = FileMapping(
        path=path,
        file=_file(f),
        encoding=_encoding(f),
        separator=f.text("separator", ",", among=SEPARATORS),
        decimal=".",
        times="iso",
        zone="UTC",
        tables=(),
        format=f.text("format", "", among=tuple(sorted(FORMATS))),
        stages=_own_words(f, "stages"),
        types=_own_words(f, "types"),
    )
    f.finish()
    return mapping


def _own_words(f: Fields, name: str) -> dict[str, str | None]:
    words = f.mapping(name, {})
    return {plain_cell(str(cell)): words.text(str(cell), "") or None for cell in words.data}


def _file(f: Fields) -> str:
    name = f.name_text("file")
    if "/" in name or "\\" in name:
        f.problem("file", f"expected the name of a file beside the mapping, got {name!r}")
    elif name and not name.endswith(DATA_SUFFIXES):
        f.problem("file", f"expected a name that ends in one of {', '.join(DATA_SUFFIXES)}")
    elif name.endswith(SUFFIX):
        f.problem("file", "a mapping does not map mappings")
    return name


def _encoding(f: Fields) -> str:
    name = f.text("encoding", "utf-8")
    try:
        codecs.lookup(name)
    except LookupError:
        f.problem("encoding", f"expected an encoding such as utf-8 or cp1252, got {name!r}")
    return name


def _times(f: Fields) -> str:
    written = f.text("times", "iso")
    if written not in TIME_WORDS and "%" not in written:
        known = ", ".join(TIME_WORDS)
        f.problem(
            "times", f"expected {known} or a pattern such as '%d.%m.%Y %H:%M', got {written!r}"
        )
    return written


def _zone(f: Fields) -> str:
    name = f.text("zone", "UTC")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        f.problem("zone", f"expected a zone such as Europe/Berlin, got {name!r}")
    return name


def _tables(f: Fields) -> tuple[TableMapping, ...]:
    outer = f.mapping("tables")
    found: list[TableMapping] = []
    for kind in MAPPED:
        if outer.has(kind.value):
            found += [_table(one, kind) for one in outer.mappings(kind.value)]
    outer.finish()
    if not found and not outer.problems:
        f.problem("tables", "expected events, contacts or both")
    return tuple(found)


def _table(f: Fields, kind: TableKind) -> TableMapping:
    known = [field.name for field in raw_schema(kind)]
    known = [name for name in known if name not in (FILE_COLUMN, LINE_COLUMN, "keys")]
    keep = tuple(map(str, f.items("keep", [])))
    if_given = f.optional_text("if_given")
    sources = {}
    for name in [*known, *(str(key) for key in f.data if str(key).startswith("key:"))]:
        if f.has(name):
            sources[name] = _source(f, name)
    if "contact_id" not in sources and not any(name.startswith("key:") for name in sources):
        f.problem("contact_id", "expected the column that says who (or key:email and the like)")
    if kind is TableKind.EVENTS:
        for name in ("occurred_at", "type"):
            if name not in sources:
                f.problem(name, "expected the column that says it, or {is: ...}")
    f.finish()
    return TableMapping(kind, sources, keep, if_given)


def _source(f: Fields, name: str) -> CellSource:
    written = f.data[name]
    if not isinstance(written, Mapping):
        return CellSource(f.name_text(name), None, {}, "keep")
    inner = f.mapping(name)
    if inner.has("is"):
        constant = inner.name_text("is")
        inner.finish()
        return CellSource(None, constant, {}, "keep")
    column = inner.name_text("column")
    values = inner.mapping("values", {})
    words = {plain_cell(cell): values.text(cell, "") or None for cell in values.data}
    if len(words) < len(values.data):
        f.problem(name, "values: two words are the same but for capitals or spaces; keep one")
    others = inner.text("others", "refuse" if words else "keep", among=OTHERS)
    inner.finish()
    return CellSource(column, None, words, others)


def plain_cell(cell: str) -> str:
    """A cell without the differences that mean nothing: spaces around it, small and large."""
    return cell.strip().casefold()
