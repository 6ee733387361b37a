"""Visits of the website that a mail brought about: how many, how deep, how near to a purchase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.appraisal.health.finding import LOOK, LogFinding, share

IntArray = NDArray[np.int64]

SESSION_MINUTES = 30  # without a page, after which a visit is over; the web's usual measure
HIGH_INTENT = ("pricing", "demo", "contact", "checkout")  # page categories; forms count too
_WEB = ("page_view", "visit", "form_submitted")
_URL = r'"url"\s*:\s*"(?P<url>(?:[^"\\]|\\.)*)"'
_NAMED_BY = ("utm_content", "utm_id", "utm_campaign")  # parameters that may name a message
_FEW, _LOST = 50, 0.5  # clicks on the site's own links; share without a visit, told from on


@dataclass(frozen=True, slots=True)
class MailVisits:
    """What clicks on one message led to."""

    message: str
    mails: int  # sent
    clicks: int  # of people
    visits: int  # clicks that at least one page followed
    pages: int  # of these visits, forms included
    different: int  # pages, each counted once a visit
    high_intent: int  # pages of `HIGH_INTENT`, and forms
    named: int  # pages that name the message themselves


@dataclass(frozen=True, slots=True)
class _Joined:
    """The pages of a log, and the message that each belongs to."""

    pages: pa.Table
    message: NDArray[np.object_]  # None: no mail brought it, [p]
    click: IntArray  # row of the click, -1: the page names the message itself, or none, [p]
    clicks: pa.Table


def mail_visits(events: pa.Table) -> tuple[MailVisits, ...]:
    """Visits by message, the most mailed first.

    A page belongs to a message that it names (`message_id`, or `utm_content`, `utm_id` or
    `utm_campaign` of its address), if that was sent to the contact before. Otherwise to the last
    click of a person before it, where no more than `SESSION_MINUTES` lie between the click, any
    pages between, and the page.

    Args:
        events: rows of the events table.
    """
    joined = _joined(events)
    kept = np.array([one is not None for one in joined.message], bool)
    visit = np.where(joined.click >= 0, joined.click, -1 - np.arange(len(kept)))
    what = np.array(_places(joined.pages), object)
    high = np.asarray(
        pc.or_(
            pc.equal(joined.pages["type"], "form_submitted"),
            pc.fill_null(pc.is_in(joined.pages["page_category"], pa.array(HIGH_INTENT)), False),
        )
    )
    sent = events.filter(pc.equal(events["type"], "sent"))
    mails, clicks = _counts(sent["message_id"]), _counts(joined.clicks["message_id"])
    found = []
    for message in sorted(mails.keys() | clicks.keys(), key=lambda one: (-mails.get(one, 0), one)):
        own = kept & (joined.message == message)
        seen = set(zip(visit[own].tolist(), what[own].tolist(), strict=True))
        found.append(
            MailVisits(
                message=message,
                mails=mails.get(message, 0),
                clicks=clicks.get(message, 0),
                visits=len(np.unique(joined.click[own & (joined.click >= 0)])),
                pages=int(own.sum()),
                different=len(seen),
                high_intent=int((own & high).sum()),
                named=int((own & (joined.click < 0)).sum()),
            )
        )
    return tuple(found)


def lost_visits(events: pa.Table) -> Iterator[LogFinding]:
    """Whether clicks on links to the site that the log watches are mostly followed by no page.

    Args:
        events: rows of the events table; the hosts of links and pages are those of `url`.
    """
    joined = _joined(events)
    watched = set(_hosts(joined.pages)) - {None}
    to_site = np.array([host in watched for host in _hosts(joined.clicks)], bool)
    followed = np.zeros(len(to_site), bool)
    followed[joined.click[joined.click >= 0]] = True
    clicks, lost = int(to_site.sum()), int((to_site & ~followed).sum())
    if clicks >= _FEW and lost > _LOST * clicks:
        yield LogFinding(
            "clicks without visits",
            LOOK,
            f"{share(lost, clicks)} clicks of people on links to the site whose pages the log has "
            f"have no page view within {SESSION_MINUTES} minutes",
            "join the browser to the person: put a parameter that names message and contact into "
            "the links of mails, and give it with the page view, or a row that has the address and "
            "the cookie",
        )


def _joined(events: pa.Table) -> _Joined:
    kinds = events["type"]
    human = pc.and_(pc.equal(kinds, "click"), pc.invert(events["is_machine"]))
    clicks = events.filter(pc.and_(human, events["message_id"].is_valid()))
    pages = events.filter(pc.is_in(kinds, pa.array(_WEB)))
    click = _last_click(pages, clicks)
    messages = np.array(clicks["message_id"].to_pylist(), object)
    by_time = np.array([None if row < 0 else messages[row] for row in click], object)
    named = _named(pages, events.filter(pc.equal(kinds, "sent")))
    own = np.array([one is not None for one in named], bool)
    other = own & (by_time != named)
    return _Joined(pages, np.where(own, named, by_time), np.where(other, -1, click), clicks)


def _last_click(pages: pa.Table, clicks: pa.Table) -> IntArray:
    """Row of the last click before each page in one visit; -1: there is none, [p]."""
    both = pa.concat_tables([one.select(["contact_id", "occurred_at"]) for one in (clicks, pages)])
    who = np.asarray(both["contact_id"].combine_chunks().dictionary_encode().indices, np.int64)
    at = np.asarray(both["occurred_at"].cast(pa.int64()), np.int64)
    is_page = np.arange(len(both)) >= len(clicks)
    order = np.lexsort((is_page, at, who))  # a click comes before a page of the same moment
    gap = np.diff(at[order], prepend=0) > SESSION_MINUTES * 60_000_000
    begins = gap | (np.diff(who[order], prepend=-1) != 0)
    visit = np.cumsum(begins)
    place = np.maximum.accumulate(np.where(is_page[order], -1, np.arange(order.size)))
    same = (place >= 0) & (visit[place] == visit)
    found = np.full(len(both), -1, np.int64)
    found[order] = np.where(same, order[place], -1)
    return found[len(clicks) :]


def _named(pages: pa.Table, sent: pa.Table) -> NDArray[np.object_]:
    """The message that a page names and that its contact had been sent; None: none, [p]."""
    first: dict[tuple[str, str], int] = {}
    times = sent["occurred_at"].cast(pa.int64()).to_pylist()
    for who, what, at in zip(
        sent["contact_id"].to_pylist(), sent["message_id"].to_pylist(), times, strict=True
    ):
        if what is not None:
            first[who, what] = min(at, first.get((who, what), at))
    named = np.full(len(pages), None, object)
    rows = zip(
        pages["contact_id"].to_pylist(),
        pages["message_id"].to_pylist(),
        _urls(pages),
        pages["occurred_at"].cast(pa.int64()).to_pylist(),
        strict=True,
    )
    for row, (who, own, url, at) in enumerate(rows):
        said = ([own] if own is not None else []) + _parameters(url)
        named[row] = next((one for one in said if first.get((who, one), at + 1) <= at), None)
    return named


def _parameters(url: str | None) -> list[str]:
    if url is None or "utm_" not in url:
        return []
    try:
        told = parse_qs(urlsplit(url).query)
    except ValueError:
        return []
    return [told[name][0] for name in _NAMED_BY if name in told]


def _urls(rows: pa.Table) -> list[str | None]:
    found = pc.struct_field(pc.extract_regex(rows["properties"], _URL), "url").to_pylist()
    return [None if one is None else one.replace("\\/", "/") for one in found]


def _hosts(rows: pa.Table) -> list[str | None]:
    return [None if one is None else _host(one) for one in _urls(rows)]


def _host(url: str) -> str | None:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.") or None
    except ValueError:
        return None


def _places(pages: pa.Table) -> list[str]:
    """What tells pages apart: the address up to its query, else the category, else the type."""
    urls = [
        None if one is None else one.partition("?")[0].partition("#")[0] for one in _urls(pages)
    ]
    others = zip(urls, pages["page_category"].to_pylist(), pages["type"].to_pylist(), strict=True)
    return [url or category or kind for url, category, kind in others]


def _counts(messages: pa.ChunkedArray) -> Mapping[str, int]:
    found = messages.drop_null().value_counts().to_pylist()
    return {one["values"]: one["counts"] for one in found}
