"""Replies whose class is known: those in the package, and files of a user's own.

The shipped ones were made up for this purpose, in English, German, French and Spanish; nobody
wrote them to anybody.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from nurture_rl.errors import LogError

# The first that holds is a reply's.
LABELS = (
    "out_of_office",
    "automatic",
    "unsubscribe_request",
    "wrong_person",
    "negative",
    "objection",
    "positive",
    "question",
    "other",
)
KINDS = ("price", "timing", "authority", "need", "competitor", "trust", "fit")  # of objections
_COLUMNS = ("label", "subject", "text")
_SHIPPED = Path(__file__).with_name("labelled_replies.csv")


@dataclass(frozen=True, slots=True)
class LabelledReply:
    """A reply and its class."""

    label: str
    kind: str | None  # of an objection
    until: date | None  # of an absence: the day that it names as its end
    language: str | None
    subject: str
    text: str


@lru_cache(maxsize=1)
def shipped_replies() -> tuple[LabelledReply, ...]:
    """Those in the package."""
    return tuple(read_labelled(_SHIPPED))


def read_labelled(path: Path) -> list[LabelledReply]:
    """Read labelled replies.

    Args:
        path: CSV (UTF-8) with the columns label, subject and text, and perhaps kind, until
            (YYYY-MM-DD) and language.

    Raises:
        LogError: it cannot be read, lacks a column, or a row has an unknown label; the message
            names its line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if missing := set(_COLUMNS) - set(rows.fieldnames or ()):
                raise LogError(
                    f"{path}: expected the columns {', '.join(_COLUMNS)}, got no "
                    f"{', '.join(sorted(missing))}; the first line names the columns"
                )
            return [_read(row, f"{path}, line {rows.line_num}") for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LogError(
            f"{path}: expected labelled replies (CSV, UTF-8), got: {error}; give another file"
        ) from error


def _read(row: Mapping[str, str | None], place: str) -> LabelledReply:
    label, kind = (row["label"] or "").strip(), (row.get("kind") or "").strip() or None
    if label not in LABELS:
        raise LogError(f"{place}: expected a label of {', '.join(LABELS)}, got {label!r}; mend it")
    if kind is not None and (label != "objection" or kind not in KINDS):
        raise LogError(
            f"{place}: expected no kind, or of an objection one of {', '.join(KINDS)}, got "
            f"{kind!r} of {label}; mend it"
        )
    said = (row.get("until") or "").strip()
    try:
        until = date.fromisoformat(said) if said else None
    except ValueError as error:
        raise LogError(f"{place}: expected until as YYYY-MM-DD, got {said!r}; mend it") from error
    language = (row.get("language") or "").strip() or None
    return LabelledReply(label, kind, until, language, row["subject"] or "", row["text"] or "")
