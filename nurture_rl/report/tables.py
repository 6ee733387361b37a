"""The page's tables as records; the template only sets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nurture_rl.report.numbers import count, moment
from nurture_rl.report.source import Json, ReportInput, listed, mapping, number, words


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header for every column and, in its first cell, for every row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[int] = frozenset()  # columns of prose; the others are numbers


def row_counts(data: Json) -> Table:
    """Rows read, kept and set aside, per table."""
    rows = tuple(
        (
            str(words(table, "table")),
            *(count(number(table, key)) for key in ("read", "kept", "quarantined")),
            ", ".join(str(name) for name in listed(table, "files")),
        )
        for table in listed(data, "ingest", "tables")
    )
    columns = ("Table", "Rows read", "Kept", "Set aside", "Files")
    return Table("Rows of the contact log", columns, rows, frozenset({4}))


def quarantine(data: Json) -> Table:
    """Rows that were set aside, by reason."""
    rows = tuple(
        (reason, str(words(table, "table")), count(number(rows)))
        for table in listed(data, "ingest", "tables")
        for reason, rows in mapping(table, "reasons").items()
    )
    return Table("Rows set aside, by reason", ("Reason", "Table", "Rows"), rows, frozenset({1}))


def facts(data: Json) -> Table:
    """What the log holds, in single numbers."""
    ingest = mapping(data, "ingest")
    span = [words(ingest, key) for key in ("first_at", "last_at")]
    first, last = (None if text is None else moment(text) for text in span)
    equal = data.get("logged_features_equal")
    lines: list[tuple[str, str | None]] = [
        ("Contacts", _known(ingest, "contacts")),
        ("Contacts known only from events or decisions", _known(ingest, "contacts_added")),
        ("Contacts to learn from", _known(data, "contacts_train")),
        ("Contacts held out to judge", _known(data, "contacts_held_out")),
        ("Decisions", _known(data, "decisions")),
        ("Decisions without a propensity", _known(ingest, "missing_propensity")),
        ("Events that match no signal of the journey", _known(data, "unmatched_events")),
        ("First event", first),
        ("Last event", last),
        ("Recomputed features equal the logged ones", _yes_or_no(equal)),
    ]
    rows = tuple((name, text) for name, text in lines if text is not None)
    return Table("What the log holds", ("Fact", "Value"), rows)


def excluded(data: Json) -> tuple[tuple[str, str], ...]:
    """Rows of the source that made no decision: (why, how many)."""
    counts = mapping(data, "notes").get("excluded")
    if isinstance(counts, Mapping):
        return tuple((str(reason), count(number(rows))) for reason, rows in counts.items())
    entries = listed(data, "notes", "excluded")
    return tuple((str(words(entry, "reason")), count(number(entry, "rows"))) for entry in entries)


def notes(data: Json, *keys: str) -> tuple[str, ...]:
    """Sentences of the adapter's notes under the first of the keys that has any."""
    for key in keys:
        texts = listed(data, "notes", key)
        if texts:
            return tuple(str(text) for text in texts)
    return ()


def run_facts(source: ReportInput) -> Table:
    """What is needed to make the run again, one line each."""
    run = source.run
    pairs: Sequence[tuple[str, object]] = [
        ("Seed", run.get("seed")),
        *((f"Seed of the {name}", one) for name, one in mapping(run, "seeds").items()),
        ("Started", run.get("started_at")),
        ("Policy id", (source.gate or {}).get("policy_id")),
        *((f"Fingerprint of {name}", text) for name, text in mapping(run, "fingerprints").items()),
        *((f"Version of {name}", text) for name, text in mapping(run, "versions").items()),
    ]
    rows = tuple((name, str(text)) for name, text in pairs if text is not None)
    return Table("This run", ("Fact", "Value"), rows, frozenset({1}))


def _known(source: Json, key: str) -> str | None:
    value = number(source, key)
    return None if value is None else count(value)


def _yes_or_no(value: object) -> str | None:
    return ("yes" if value else "no") if isinstance(value, bool) else None
