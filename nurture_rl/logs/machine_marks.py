"""Clicks and opens that no person made: link scanners, mail proxies, prefetchers.

Security gateways follow the links of a mail before anybody sees it, and proxies open every mail.
What a log does not mark itself is marked here by how it looks; what it marks stays as it is. The
reason is put into the event's properties as `machine_by`, so that the flag as it came is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.logs.changed_columns import with_cells
from nurture_rl.logs.reported.reported_cells import PREFETCHING
from nurture_rl.wording import counted

BY = "machine_by"  # property that says why an event is a machine's
TOO_SOON, MANY_LINKS, AGENT = "too_soon", "many_links", "user_agent"
HEAD, TRAP = "head_request", "trap_link"
CLICK_SECONDS = 5.0  # from delivery; no person reads and clicks within it
OPEN_SECONDS = 2.0
BURST_LINKS = 3  # different links of one mail that one contact clicks
BURST_SECONDS = 10.0  # within so long
# A log of whole minutes or days cannot tell seconds: not judged by them where so large a share of
# its mails went out at second 0.
_COARSE = 0.95
_READ = ["contact_id", "type", "occurred_at", "message_id", "decision_id"]  # beside properties
_SECOND = 1_000_000
# Of what says itself what it is. Proxies of mailboxes open mails; for clicks they are no sign.
_ROBOT = (
    r"bot\b|crawl|spider|scan|slurp|monitor|headless|phantomjs|python-|curl/|wget/|go-http|java/|"
    r"okhttp|libwww|httpclient|barracuda|mimecast|proofpoint|safelinks|urldefense|ironport|"
    r"trendmicro|symantec|fortinet|sophos|virustotal|zscaler|bitdefender|kaspersky|messagelabs"
)
_PROXY = (
    rf"^\s*{re.escape(PREFETCHING)}\s*$|googleimageproxy|yahoomailproxy|outlook-express-prefetch"
)

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MarkedEvents:
    """Events after the search for machines."""

    rows: pa.Table  # of the events table, in their order
    reasons: Mapping[str, int]  # events that were marked, by reason


def mark_machines(events: pa.Table, tells_seconds: bool | None = None) -> MarkedEvents:
    """Mark clicks and opens that look like a machine's.

    - `trap_link`: the event's property `trap` is true: a link that people do not see; and every
      click of that contact on that mail;
    - `head_request`: the property `method` is HEAD;
    - `user_agent`: the property `user_agent` names a robot, or of an open a proxy;
    - `too_soon`: within 5 s (click) or 2 s (open) of when the mail was delivered, or else sent;
    - `many_links`: three different links of a mail within 10 s (the property `url`; where links
      have none, three clicks), all of them.

    Args:
        events: rows of the events table with their contacts, all of each contact, in any order.
        tells_seconds: whether the log's times are exact enough for `too_soon`; None: as those of
            the mails among these events are.
    """
    kinds = events["type"]
    looked = pc.and_(pc.is_in(kinds, pa.array(["click", "open"])), pc.invert(events["is_machine"]))
    rows = np.flatnonzero(looked.to_numpy(zero_copy_only=False))
    if not len(rows):
        return MarkedEvents(events, {})
    some = events.select([*_READ, "properties"]).take(pa.array(rows))
    is_click = np.asarray(pc.equal(some["type"], "click"))
    told = _Told.of(some["properties"].combine_chunks())
    mails = events.select(_READ).filter(pc.is_in(kinds, pa.array(["sent", "delivered"])))
    mail_of, after, is_known = _since_mail(some, mails)
    by = np.full(len(rows), None, object)
    limit = np.where(is_click, CLICK_SECONDS, OPEN_SECONDS) * _SECOND
    found = {
        MANY_LINKS: _bursts(is_click, mail_of, _times(some), told.url),
        TOO_SOON: is_known & (after <= limit)
        if (_tells_seconds(mails) if tells_seconds is None else tells_seconds)
        else np.zeros(len(rows), bool),
        AGENT: told.robot | (told.proxy & ~is_click),
        HEAD: told.head,
        TRAP: is_click & np.isin(mail_of, mail_of[told.trap & is_click]),
    }
    for reason, which in found.items():  # the surest last
        by[which] = reason
    marked = np.array([one is not None for one in by])
    if not marked.any():
        return MarkedEvents(events, {})
    names, counts = np.unique(by[marked].astype(str), return_counts=True)
    return MarkedEvents(
        _with_marks(events, rows[marked], by[marked]),
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
    )


class MachineSearch:
    """Marks machines in some events after the other, and counts what it marked."""

    def __init__(self, tells_seconds: bool) -> None:
        """As for `mark_machines`."""
        self._tells_seconds = tells_seconds
        self._found: Counter[str] = Counter()

    def marked(self, events: pa.Table) -> pa.Table:
        """All events of some contacts, marked."""
        found = mark_machines(events, self._tells_seconds)
        self._found.update(found.reasons)
        return found.rows

    def notes(self) -> list[str]:
        """How many clicks and opens were marked so far, in a sentence; empty where none were."""
        if not self._found:
            return []
        reasons = ", ".join(f"{rows} {reason}" for reason, rows in sorted(self._found.items()))
        many = counted(sum(self._found.values()), "click or open", "clicks and opens")
        looks = f"{many} marked as a machine's, by their looks: {reasons}"
        return [f"{looks}; the property {BY} says which"]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the properties of clicks and opens say, [event] each."""

    url: Ints  # number of the link; -1: it has none
    robot: Bools
    proxy: Bools
    head: Bools
    trap: Bools

    @classmethod
    def of(cls, properties: pa.Array) -> _Told:
        agent = pc.utf8_lower(text_in(properties, "user_agent"))
        url = text_in(properties, "url")
        numbers = pc.fill_null(url.dictionary_encode().indices, -1)
        return cls(
            numbers.to_numpy(zero_copy_only=False).astype(np.int64),
            _matches(agent, _ROBOT),
            _matches(agent, _PROXY),
            _matches(text_in(properties, "method"), "(?i)^head$"),
            _is_trap(properties),
        )


def text_in(properties: pa.Array, name: str) -> pa.Array:
    """A text of JSON objects, null where there is none."""
    if not _holds(properties, name):
        return pa.nulls(len(properties), pa.string())
    pattern = rf'"{name}"\s*:\s*"(?P<said>(?:[^"\\]|\\.)*)"'
    return pc.struct_field(pc.extract_regex(properties, pattern), "said")


def _is_trap(properties: pa.Array) -> Bools:
    if not _holds(properties, "trap"):
        return np.zeros(len(properties), np.bool_)
    return _matches(properties, r'"trap"\s*:\s*true')


def _holds(properties: pa.Array, name: str) -> bool:
    """Whether a name is in any text: looking for a pattern takes much longer."""
    return bool(pc.any(pc.match_substring(properties, f'"{name}"')).as_py())


def _matches(texts: pa.Array, pattern: str) -> Bools:
    if texts.null_count == len(texts):
        return np.zeros(len(texts), np.bool_)
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _since_mail(some: pa.Table, mails: pa.Table) -> tuple[Ints, Ints, Bools]:
    """Which mail each event is about, how long after it, and whether that is known, [event].

    The mail's moment is the last delivery before the event, or else the last sending.
    """
    of, others = mails_of(some, mails)
    about, named = np.flatnonzero(of >= 0), np.flatnonzero(others >= 0)
    at, sent = _times(some)[about], _times(mails)[named]
    is_delivery = np.asarray(pc.equal(mails["type"], "delivered"))[named]
    after = np.full(len(some), -1, np.int64)
    for which in (~is_delivery, is_delivery):  # a delivery says more
        last = _last_before(of[about], at, others[named][which], sent[which])
        found = np.flatnonzero(last >= 0)
        after[about[found]] = at[found] - last[found]
    return of, after, after >= 0


def mails_of(some: pa.Table, mails: pa.Table) -> tuple[Ints, Ints]:
    """A number for the mail that each row is about, [rows] of both; -1: it names none.

    A mail is a contact's decision, where there is none its message.

    Args:
        some: rows of the events table.
        mails: others.
    """
    keys = _mail_numbers(pa.concat_tables([_keyed(some), _keyed(mails)]))
    return keys[: len(some)], keys[len(some) :]


def _keyed(rows: pa.Table) -> pa.Table:
    about = pc.coalesce(rows["decision_id"], rows["message_id"])
    kind = pc.if_else(pc.is_valid(rows["decision_id"]), "d", "m")
    return pa.table({"contact": rows["contact_id"], "about": about, "kind": kind})


def _mail_numbers(keyed: pa.Table) -> Ints:
    """A number for each contact's mail; -1 where the mail is not named."""
    whole = pc.binary_join_element_wise(
        keyed["contact"], keyed["kind"], keyed["about"], "\x1f", null_handling="emit_null"
    )
    numbers = pc.fill_null(whole.combine_chunks().dictionary_encode().indices, -1)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64)


def _times(rows: pa.Table) -> Ints:
    return np.asarray(rows["occurred_at"].cast(pa.int64()).to_numpy(), np.int64)


def _last_before(of: Ints, at: Ints, others: Ints, times: Ints) -> Ints:
    """The last time of the same mail up to each event's, [event]; -1: there is none."""
    keys, moments = np.concatenate([others, of]), np.concatenate([times, at])
    is_event = np.concatenate([np.zeros(len(others), bool), np.ones(len(of), bool)])
    order = np.lexsort((is_event, moments, keys))
    place = np.where(is_event[order], -1, np.arange(len(order)))
    latest = np.maximum.accumulate(place)
    sources = order[np.maximum(latest, 0)]
    same = (latest >= 0) & (keys[sources] == keys[order])
    found = np.full(len(order), -1, np.int64)
    found[order] = np.where(same, moments[sources], -1)
    return found[len(others) :]


def mail_minutes(events: pa.Table) -> tuple[Bools, Bools]:
    """Which events are mails that went out, and which of them did at second 0, [event] each."""
    mails = np.asarray(pc.is_in(events["type"], pa.array(["sent", "delivered"])))
    return mails, mails & (_times(events) % (60 * _SECOND) == 0)


def are_exact(mails: int, at_second_0: int) -> bool:
    """Whether a log tells seconds: not where all but few of its mails went out at second 0."""
    return mails > 0 and at_second_0 / mails < _COARSE


def _tells_seconds(mails: pa.Table) -> bool:
    which, coarse = mail_minutes(mails)
    return are_exact(int(which.sum()), int(coarse.sum()))


def _bursts(is_click: Bools, mail_of: Ints, at: Ints, url: Ints) -> Bools:
    """Clicks that stand, with others of their mail, in a burst over several links, [event]."""
    found = np.zeros(len(is_click), bool)
    clicks = np.flatnonzero(is_click & (mail_of >= 0))
    order = clicks[np.lexsort((at[clicks], mail_of[clicks]))]
    begins = np.flatnonzero(np.diff(mail_of[order], prepend=-1))
    ends = np.append(begins[1:], len(order))
    several = ends - begins >= BURST_LINKS
    for begin, end in zip(begins[several], ends[several], strict=True):
        times, links = at[order[begin:end]], url[order[begin:end]]
        lasts = np.searchsorted(times, times + int(BURST_SECONDS * _SECOND), "right")
        for first, last in enumerate(lasts):
            within = links[first:last]
            different = len(np.unique(within[within >= 0])) + int(np.sum(within < 0))
            if different >= BURST_LINKS:
                found[order[begin + first : begin + last]] = True
    return found


def _with_marks(events: pa.Table, rows: Ints, by: NDArray[np.object_]) -> pa.Table:
    """The events with flag and reason of some rows."""
    said = events["properties"].take(pa.array(rows)).to_pylist()
    marked = [_noted(text, reason) for text, reason in zip(said, by, strict=True)]
    flagged = with_cells(events, "is_machine", rows, pa.array(np.ones(len(rows), np.bool_)))
    return with_cells(flagged, "properties", rows, pa.array(marked, pa.string()))


def _noted(text: str, reason: str) -> str:
    inside = text.strip()[1:-1].strip()
    note = f'"{BY}": "{reason}"'
    return f"{{{inside}, {note}}}" if inside else f"{{{note}}}"
