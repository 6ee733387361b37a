"""What a typed row must say to be used; each check gives a reason per row, null where it passes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.quarantine import first_reason, reason_where, sift
from nurture_rl.logs.readers import RawTable
from nurture_rl.logs.schema import TableKind
from nurture_rl.logs.vocabulary import NOBODY, SHIPPED_WORDS, Vocabulary

UNKNOWN_TYPE = "unknown event type"
LARGEST_VALUE = 2.0**43  # of an event: sums on the grid of 1/1024 are exact below it
_ADVICE = "; what a signal of the journey names is known"
_NOBODY = pa.array(sorted(NOBODY), pa.string())
_KEY = r"^[^:]+:."
_REQUIRED = {
    TableKind.EVENTS: ("event_id", "type", "occurred_at"),
    TableKind.CONTACTS: (),
    TableKind.DECISIONS: (
        *("decision_id", "anchor", "step", "decided_at", "action", "probabilities"),
    ),
}
# What `complete_decisions` fills: without a journey, or beside a gap above, it may still lack.
_FILLED = ("journey", "episode_id", "mask", "policy_id", "arm", "catalog")
_ABSENT: dict[TableKind, dict[str, str | bool]] = {
    TableKind.EVENTS: {"source": "unknown", "is_machine": False, "properties": "{}"},
    TableKind.CONTACTS: {"attributes": "{}"},
    TableKind.DECISIONS: {"deferred": False},
}


PROPENSITY_SOURCES = frozenset({"logged", "estimated"})


def check_events(rows: pa.Table, words: Vocabulary = SHIPPED_WORDS) -> RawTable:
    """Keep events that name who, what and when; fill what may be left out.

    A missing `recorded_at` is the time of the event itself, a missing `source` is "unknown",
    `is_machine` false, `properties` empty.

    Args:
        rows: events of `raw_schema`, [n].
        words: the types and reply classes that are known.
    """
    recorded = pc.coalesce(rows["recorded_at"], rows["occurred_at"])
    rows = with_column(_filled(rows, TableKind.EVENTS), "recorded_at", recorded)
    reasons = [
        *_common_reasons(rows, TableKind.EVENTS),
        unknown_word(rows, "type", words.event_types, UNKNOWN_TYPE, _ADVICE),
        unknown_word(rows, "reply_class", words.reply_classes, "unknown reply class", _ADVICE),
        reason_where(
            _column(pc.less(rows["recorded_at"], rows["occurred_at"])),
            "recorded before it occurred: recorded_at must not be earlier than occurred_at",
        ),
        reason_where(
            _column(pc.greater(pc.abs(rows["value"]), LARGEST_VALUE)),
            f"absurd value: sums cannot hold more than {LARGEST_VALUE:.0f} exactly",
        ),
    ]
    return RawTable(*sift(rows, TableKind.EVENTS, first_reason(reasons)))


def check_contacts(rows: pa.Table) -> RawTable:
    """Keep contacts that are named and whose zone exists.

    A row may say nothing on consent: another one of the contact may. A missing `zone_confidence`
    is 1 where a zone is given and 0 where none is.
    """
    stated = pc.cast(rows["time_zone"].is_valid(), pa.float64())
    confidence = pc.coalesce(rows["zone_confidence"], stated)
    rows = with_column(_filled(rows, TableKind.CONTACTS), "zone_confidence", confidence)
    outside = pc.or_(pc.less(confidence, 0.0), pc.greater(confidence, 1.0))
    reasons = [
        *_common_reasons(rows, TableKind.CONTACTS),
        unknown_word(rows, "time_zone", available_timezones(), "unknown time zone"),
        reason_where(_column(outside), "zone_confidence outside [0, 1]"),
    ]
    return RawTable(*sift(rows, TableKind.CONTACTS, first_reason(reasons)))


def check_decision_fields(rows: pa.Table) -> RawTable:
    """Keep decisions that have every required field; a missing `deferred` is false."""
    rows = _filled(rows, TableKind.DECISIONS)
    reasons = [
        *_common_reasons(rows, TableKind.DECISIONS),
        reason_where(_column(pc.less(rows["step"], 0)), "negative step: a decision is after entry"),
        unknown_word(rows, "propensity_source", PROPENSITY_SOURCES, "unknown propensity_source"),
    ]
    return RawTable(*sift(rows, TableKind.DECISIONS, first_reason(reasons)))


def unknown_word(
    rows: pa.Table, name: str, known: frozenset[str] | set[str], what: str, advice: str = ""
) -> pa.Array:
    """A reason for each word outside the vocabulary, with the nearest known one."""
    words = _column(rows[name])
    if words.null_count == len(words):
        return pa.nulls(len(words), pa.string())
    unknown = pc.and_(
        words.is_valid(), pc.invert(pc.is_in(words, value_set=pa.array(sorted(known))))
    )
    if not pc.any(unknown).as_py():
        return pa.nulls(len(words), pa.string())
    strange = pc.unique(words.filter(unknown)).to_pylist()
    nearest = [_nearest(word, sorted(known)) for word in strange]
    hint = pa.array(nearest, pa.string()).take(
        pc.index_in(words, value_set=pa.array(strange, pa.string()))
    )
    return reason_where(unknown, f"{what}: '", words, "', nearest known is '", hint, f"'{advice}")


def _nearest(word: str, known: Sequence[str]) -> str:
    return difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]


def _common_reasons(rows: pa.Table, kind: TableKind) -> list[pa.Array]:
    """Required fields (all that lack at once), somebody named, keys of the right form."""
    keys = _column(rows["keys"])
    count = pc.fill_null(pc.list_value_length(keys), 0)
    nobody = pc.and_(_column(rows["contact_id"].is_null()), pc.equal(count, 0))
    given = _column(rows["contact_id"])
    word = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(given)), value_set=_NOBODY)
    malformed = np.zeros(len(rows), dtype=bool)
    good = np.asarray(pc.match_substring_regex(keys.flatten(), _KEY))
    malformed[np.asarray(pc.list_parent_indices(keys))[~good.astype(bool)]] = True
    return [
        _missing_fields(rows, _REQUIRED[kind], nobody),
        _missing_fields(rows, _FILLED if kind is TableKind.DECISIONS else (), None),
        reason_where(nobody, "missing contact: neither contact_id nor keys names anybody"),
        reason_where(word, "missing contact: contact_id '", given, "' names nobody"),
        reason_where(pa.array(malformed), "malformed key: each key must read kind:value"),
    ]


def _missing_fields(rows: pa.Table, names: Sequence[str], nobody: pa.Array | None) -> pa.Array:
    """The fields that each row lacks, all at once; who is named too where something else lacks."""
    lacking = [name for name in names if rows[name].null_count]
    if not lacking:
        return pa.nulls(len(rows), pa.string())
    told = [
        pc.if_else(_column(rows[name].is_null()), pa.scalar(f"{name}, "), pa.scalar(""))
        for name in lacking
    ]
    listed = pc.utf8_rtrim(pc.binary_join_element_wise(*told, ""), characters=", ")
    who = "" if nobody is None else pc.if_else(nobody, pa.scalar("contact_id, "), pa.scalar(""))
    return reason_where(pc.not_equal(listed, ""), "missing required field: ", who, listed)


def _filled(rows: pa.Table, kind: TableKind) -> pa.Table:
    for name, value in _ABSENT[kind].items():
        rows = with_column(rows, name, pc.fill_null(rows[name], value))
    return rows


def _column(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
