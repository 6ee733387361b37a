"""First clicks on mails and the links that were followed, as events of their own.

Both are worked out of clicks that people made, in the order in which the log knew of them, so that
nothing that became known later can change one: a log read afterwards and a server that hears of one
event after the other work out the same.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import HOUR_US
from nurture_rl.logs.machine_marks import mails_of
from nurture_rl.logs.schema import EVENTS

FIRST_CLICK = "first_click"  # of a person on a mail; its value is the hours since the mail came
LINK_CLICKED = "link_clicked"  # the first click on each link of a mail
SOURCE = "derived"  # `source` of what is worked out of other events
_URL = r'"url"\s*:\s*"(?P<url>(?:[^"\\#]|\\.)*)'
_COPIED = ("contact_id", "message_id", "decision_id", "topic")


class _Moment(NamedTuple):
    """When a mail was sent or delivered; times in microseconds since 1970 UTC."""

    occurred: int
    recorded: int
    is_delivery: bool


class _Click(NamedTuple):
    """A click on a mail that was sent before it; sorts by when the log knew of both."""

    known: int
    occurred: int
    event_id: str
    place: int  # of its row
    mail: int
    came: int  # when the mail did


def click_events(events: pa.Table) -> tuple[pa.Table, int]:
    """First clicks and links of each mail, and how many clicks could not be taken for any.

    A mail came when it was delivered, or else when it was sent, as far as that was known at the
    click; where a mail went out again, at the last time before the click. Links are told apart by
    the property `url`, up to a `#`; clicks without one are all on one link.

    Args:
        events: rows of the events table, all of each contact, in any order.

    Returns:
        Rows of the events table, and the clicks that name no mail or one that was never sent.
    """
    human = pc.and_(pc.equal(events["type"], "click"), pc.invert(events["is_machine"]))
    rows = events.filter(human)
    clicks = _clicks(rows, events.filter(pc.is_in(events["type"], pa.array(["sent", "delivered"]))))
    url = pc.struct_field(pc.extract_regex(rows["properties"], _URL), "url").to_pylist()
    copied = rows.select(_COPIED).to_pylist()
    seen: dict[int, set[str | None]] = defaultdict(set)
    made: list[dict[str, Any]] = []
    for click in sorted(clicks):
        link, links = url[click.place], seen[click.mail]
        if not links:
            hours = (click.occurred - click.came) / HOUR_US
            made.append(_row(click, copied[click.place], FIRST_CLICK) | {"value": hours})
        if link not in links:
            made.append(_row(click, copied[click.place], LINK_CLICKED, link or ""))
        links.add(link)
    return pa.Table.from_pylist(made, schema=EVENTS), len(rows) - len(clicks)


def _clicks(rows: pa.Table, mails: pa.Table) -> list[_Click]:
    of, others = mails_of(rows, mails)
    asked = np.flatnonzero(np.isin(others, of) & (others >= 0))
    some = mails.take(pa.array(asked))
    delivered = pc.equal(some["type"], "delivered").to_pylist()
    told = zip(_us(some["occurred_at"]), _us(some["recorded_at"]), delivered, strict=True)
    moments: dict[int, list[_Moment]] = defaultdict(list)
    for mail, moment in zip(others[asked].tolist(), told, strict=True):
        moments[mail].append(_Moment(*moment))
    found = []
    times = zip(_us(rows["occurred_at"]), _us(rows["recorded_at"]), strict=True)
    names = zip(of.tolist(), rows["event_id"].to_pylist(), times, strict=True)
    for place, (mail, name, (occurred, recorded)) in enumerate(names):
        came = _came(moments.get(mail, ()), occurred, recorded)
        if came is not None:
            found.append(_Click(came[1], occurred, name, place, mail, came[0]))
    return found


def _came(moments: Sequence[_Moment], occurred: int, recorded: int) -> tuple[int, int] | None:
    """When the mail of a click came, and when both were known; None: no mail before the click."""
    before = [one for one in moments if one.occurred <= occurred]
    if not before:
        return None
    known = max(recorded, min(one.recorded for one in before))
    told = [(one.is_delivery, one.occurred) for one in before if one.recorded <= known]
    return max(told)[1], known


def _row(click: _Click, copied: dict[str, Any], kind: str, link: str = "") -> dict[str, Any]:
    decision, message = copied["decision_id"], copied["message_id"]
    about = f"m{message}" if decision is None else f"d{decision}"
    return {
        **dict.fromkeys(EVENTS.names),
        **copied,
        "event_id": derived_id(kind, copied["contact_id"], about, link),
        "occurred_at": click.occurred,
        "recorded_at": click.known,
        "type": kind,
        "source": SOURCE,
        "is_machine": False,
        "properties": "{}",
    }


def derived_id(kind: str, *parts: str) -> str:
    """The id of an event that is worked out: the same whenever it is worked out again."""
    text = "\x1f".join((kind, *parts)).encode("utf-8", "surrogatepass")
    return f"{kind}:{hashlib.sha256(text).hexdigest()[:32]}"


def _us(column: pa.ChunkedArray) -> list[int]:
    return list(column.cast(pa.int64()).to_pylist())
