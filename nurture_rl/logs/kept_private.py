"""A log as its rules of privacy allow: what they forbid is counted and never written."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.identity.company_domains import addresses_in
from nurture_rl.identity.resolve import Identities, MergedContact
from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.machine_marks import BY
from nurture_rl.logs.merges import MERGE_ORDER
from nurture_rl.logs.privacy_rules import PrivacyRules
from nurture_rl.logs.quarantine import first_reason, reason_where, sift
from nurture_rl.logs.readers import RawTable
from nurture_rl.logs.schema import TableKind
from nurture_rl.logs.unify import Unified

CONSENT = "consent"  # property of an event, and how such attributes of a contact begin
BY_RULES = ("no consent", "not allowed", "too old")  # kinds of reason: asked for, no fault of a log
# Reasons whose detail is nothing that a row said.
_SAY_NOTHING = "|".join(
    ("missing required field", "redelivered", "shared keys only", "stray time", *BY_RULES)
)
_LEFT_OUT = '"left out by the rules of privacy"'  # of a quarantined row, instead of its content
_NAMES = (  # of people
    *("contact_id", "account_id", "event_id", "decision_id", "episode_id"),
    *("left", "right", "apart_left", "apart_right"),  # of a merge
)
_EMAIL = "email:"  # such keys are addresses
_DAY_US = 86_400_000_000
_HEX = 32  # signs of a pseudonym


class PrivateLog:
    """What may be written of a log, its events some contacts after the others.

    Events of other types than allowed, of people who have not agreed to their purpose, and what is
    too old go to the quarantine, which holds their file, line and reason alone. Other attributes
    and properties than allowed are taken off; where pseudonyms are asked for and no list says what
    is allowed, those that hold an address by which the log knows somebody. Pseudonyms
    (HMAC-SHA256) take the place of ids and keys, the same in every run with one key.
    """

    def __init__(self, rules: PrivacyRules, unified: Unified, last_us: int) -> None:
        """Begin.

        Args:
            rules: what is allowed.
            unified: whose contacts, with resolved ids, say who has agreed to what.
            last_us: UTC microseconds of the log's last event, from which `keep_days` counts, so
                that a log says it alone.
        """
        self._known = _addresses(unified.identities.key)
        self._rules = rules
        self._agreed = _agreed(unified.rows[TableKind.CONTACTS], rules)
        days = rules.keep_days
        self._oldest = None if days is None else int(last_us - days * _DAY_US)

    def events(self, rows: pa.Table) -> RawTable:
        """What may be written of some events, in their order.

        Args:
            rows: with their contacts' own ids, file and line.
        """
        against = _against_events(rows, self._rules, self._oldest, self._agreed)
        kept, refused = sift(rows, TableKind.EVENTS, against)
        if self._rules.properties is not None:
            kept = _stripped(kept, "properties", self._rules.properties | {BY})
        elif self._rules.key is not None:
            kept = _without_addresses(kept, "properties", self._known)
        if self._rules.key is not None:
            kept = _renamed(kept, self._rules.key)
        return RawTable(kept, without_content(refused))

    def tells(self, name: str) -> bool:
        """Whether a property of events may be written."""
        return self._rules.properties is None or name in self._rules.properties

    def others(self, unified: Unified) -> Unified:
        """What may be written of the other tables and of the keys."""
        rows = dict(unified.rows)
        against = _against_decisions(rows[TableKind.DECISIONS], self._oldest)
        kept, refused = sift(rows[TableKind.DECISIONS], TableKind.DECISIONS, against)
        rows[TableKind.DECISIONS] = kept
        allowed = self._rules.attributes
        if allowed is not None:
            contacts = _stripped(rows[TableKind.CONTACTS], "attributes", allowed)
            rows[TableKind.CONTACTS] = contacts
        elif self._rules.key is not None:
            contacts = _without_addresses(rows[TableKind.CONTACTS], "attributes", self._known)
            rows[TableKind.CONTACTS] = contacts
        quarantine = without_content(pa.concat_tables([unified.quarantine, refused]))
        found, key = replace(unified, rows=rows, quarantine=quarantine), self._rules.key
        if key is None:
            return found
        return replace(
            found,
            rows={kind: _renamed(table, key) for kind, table in rows.items()},
            identities=_renamed_identities(found.identities, key),
            merges=_renamed(found.merges, key).sort_by(MERGE_ORDER),
            accounts=_renamed_accounts(found.accounts, key),
        )


def written_names(contacts: pa.Array, rules: PrivacyRules) -> pa.Array:
    """How contacts are called in what is written, [n]."""
    if rules.key is None:
        return contacts
    return _each_text(pa.chunked_array([contacts]), _hidden_by(rules.key))


def without_content(quarantine: pa.Table) -> pa.Table:
    """Refused rows with file, line and reason alone; of a reason that quotes them the kind."""
    said = quarantine["reason"]
    kinds = pc.replace_substring_regex(said, "(?s):.*", "")
    reasons = pc.if_else(pc.match_substring_regex(said, f"^({_SAY_NOTHING}):"), said, kinds)
    quarantine = with_column(quarantine, "reason", reasons)
    return with_column(quarantine, "raw", pa.array([_LEFT_OUT] * len(quarantine), pa.string()))


def _against_events(
    events: pa.Table, rules: PrivacyRules, oldest: int | None, agreed: Mapping[str, pa.Array]
) -> pa.Array:
    kinds = events["type"].combine_chunks()
    reasons = [pa.nulls(len(events), pa.string())]
    if rules.events is not None:
        other = pc.invert(pc.is_in(kinds, pa.array(sorted(rules.events), pa.string())))
        reasons.append(reason_where(other, "not allowed: events of type ", kinds))
    for kind, purpose in sorted(rules.purposes.items()):
        without = pa.array(_without(events, kind, purpose, agreed[purpose]))
        reasons.append(reason_where(without, f"no consent: {kind} needs it for {purpose}"))
    if oldest is not None:
        old = pc.less(events["occurred_at"].combine_chunks().cast(pa.int64()), oldest)
        reasons.append(reason_where(old, "too old: before what keep_days keeps"))
    return first_reason(reasons)


def _against_decisions(decisions: pa.Table, oldest: int | None) -> pa.Array:
    """Episodes go whole: part of one would be a broken one."""
    if oldest is None or not len(decisions):
        return pa.nulls(len(decisions), pa.string())
    at = decisions["decided_at"].combine_chunks().cast(pa.int64())
    old = decisions["episode_id"].filter(pc.less(at, oldest)).unique()
    gone = pc.is_in(decisions["episode_id"].combine_chunks(), old)
    return reason_where(gone, "too old: its episode began before what keep_days keeps")


def _agreed(contacts: pa.Table, rules: PrivacyRules) -> dict[str, pa.Array]:
    """Who has agreed, by purpose: ids of contacts whose attribute `consent_PURPOSE` is true.

    Of several rows of a contact those that say nothing take none away, and one no does.
    """
    told = [json.loads(text) for text in contacts["attributes"].to_pylist()]
    names = contacts["contact_id"].to_pylist()
    found = {}
    for purpose in set(rules.purposes.values()):
        said = [one.get(f"{CONSENT}_{purpose}") for one in told]
        pairs = [pair for pair in zip(names, said, strict=True) if pair[1] is not None]
        noes = {name for name, one in pairs if not _yes(one)}
        found[purpose] = pa.array(sorted({name for name, _ in pairs} - noes), pa.string())
    return found


def _without(events: pa.Table, kind: str, purpose: str, agreed: pa.Array) -> NDArray[np.bool_]:
    """Events of a type that nobody has agreed to for a purpose, [event].

    What the event says of it counts, and where it says nothing the contact's attribute.
    """
    rows = np.flatnonzero(np.asarray(pc.equal(events["type"], kind)))
    some = events.take(pa.array(rows))
    person = np.asarray(pc.is_in(some["contact_id"].combine_chunks(), agreed))
    said = [_said(json.loads(text), purpose) for text in some["properties"].to_pylist()]
    may = np.array([p if own is None else own for own, p in zip(said, person, strict=True)], bool)
    found = np.zeros(len(events), np.bool_)
    found[rows[~may]] = True
    return found


def _said(properties: Mapping[str, Any], purpose: str) -> bool | None:
    """Whether an event says that its person agreed to a purpose; None: it says nothing."""
    if CONSENT not in properties:
        return None
    told = properties[CONSENT]
    if isinstance(told, Mapping):
        return _yes(told.get(purpose))
    return purpose in told if isinstance(told, list) else _yes(told)


def _yes(told: Any) -> bool:
    return told is True or (isinstance(told, str) and told.strip().lower() in ("true", "yes", "1"))


def _stripped(rows: pa.Table, name: str, allowed: frozenset[str]) -> pa.Table:
    """Rows whose JSON objects have the allowed members alone."""
    return with_column(rows, name, _each_text(rows[name], _only(allowed)))


def _addresses(keys: pa.Array) -> frozenset[str]:
    """The e-mail addresses among keys, in lower case."""
    some = keys.filter(pc.starts_with(keys, _EMAIL)).to_pylist()
    return frozenset(key.removeprefix(_EMAIL).lower() for key in some)


def _without_addresses(rows: pa.Table, name: str, known: frozenset[str]) -> pa.Table:
    """Rows whose JSON objects have no members that hold one of these addresses."""

    def kept(text: str) -> str:
        if "@" not in text:
            return text
        told = json.loads(text)
        inside = {
            name: value
            for name, value in told.items()
            if known.isdisjoint(map(str.lower, addresses_in(json.dumps(value, ensure_ascii=False))))
        }
        return text if len(inside) == len(told) else json.dumps(inside, ensure_ascii=False)

    return with_column(rows, name, _each_text(rows[name], kept))


def _only(allowed: frozenset[str]) -> Callable[[str], str]:
    def kept(text: str) -> str:
        told = json.loads(text)
        inside = {name: value for name, value in told.items() if name in allowed}
        return text if len(inside) == len(told) else json.dumps(inside, ensure_ascii=False)

    return kept


def _each_text(column: pa.ChunkedArray, change: Callable[[str], str]) -> pa.Array:
    """A text column with every different text changed once."""
    coded = column.combine_chunks().dictionary_encode()
    texts = [None if one is None else change(one) for one in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def _renamed(rows: pa.Table, key: bytes) -> pa.Table:
    """Rows with pseudonyms for the ids and keys of people."""
    for name in _NAMES:
        if name in rows.column_names:
            rows = with_column(rows, name, _each_text(rows[name], _hidden_by(key)))
    if "keys" not in rows.column_names:
        return rows
    keys = rows["keys"].combine_chunks()
    flat = _each_text(pa.chunked_array([keys.flatten()]), _hidden_key(key))
    keys = pa.ListArray.from_arrays(_offsets(keys), flat, mask=keys.is_null())
    return with_column(rows, "keys", keys)


def _renamed_accounts(accounts: pa.Table | None, key: bytes) -> pa.Table | None:
    """Accounts without the domains that their pseudonyms stand for."""
    if accounts is None:
        return None
    nothing = pa.nulls(len(accounts), pa.string())
    return with_column(_renamed(accounts, key), "domain", nothing).sort_by("contact_id")


def _renamed_identities(old: Identities, key: bytes) -> Identities:
    hidden = _hidden_by(key)
    names = _each_text(pa.chunked_array([old.key]), _hidden_key(key))
    order = pc.sort_indices(names)
    taken = np.asarray(order)
    place = np.argsort(taken)  # of each old key among the new ones
    merged = [
        MergedContact(hidden(one.contact_id), tuple(sorted(map(hidden, one.others))))
        for one in old.merged
    ]
    return Identities(
        key=names.take(order),
        contact_id=_each_text(pa.chunked_array([old.contact_id]), hidden).take(order),
        linked_at=old.linked_at[taken],
        shared=old.shared[taken],
        towards_name=place[old.towards_name[taken]],
        degree=old.degree[taken],
        merged=tuple(sorted(merged, key=lambda one: one.contact_id)),
    )


def _hidden_key(key: bytes) -> Callable[[str], str]:
    hidden = _hidden_by(key)

    def renamed(name: str) -> str:
        kind, sign, value = name.partition(":")
        return f"{kind}{sign}{hidden(value)}" if sign else hidden(name)

    return renamed


def _offsets(lists: pa.ListArray) -> pa.Array:
    """Offsets of the flattened lists, in which a list that is null has nothing."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return pa.array(np.r_[0, np.cumsum(np.asarray(lengths))].astype(np.int32))


def _hidden_by(key: bytes) -> Callable[[str], str]:
    """What gives the pseudonym of an id under a key."""
    return partial(pseudonym, key=key)


def pseudonym(name: str, key: bytes) -> str:
    """The pseudonym of an id: who has no key learns nothing of the id, and cannot try ids out."""
    return hmac.digest(key, name.encode("utf-8", "surrogatepass"), "sha256").hex()[:_HEX]
