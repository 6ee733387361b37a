"""The JSON and the form of mail preferences, and their way to records."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated

import msgspec

from nurture_envs.clock import DAY_US
from nurture_rl.serving.http.wire import RequestError, Text, WithdrawnSend, iso, withdrawn_send
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ConsentEntry, Preferences, Withdrawal

MOST_A_WEEK = 50
_MOST_NAMES = 200
_NUMBER = re.compile("[0-9]{1,4}")
_EPOCH, _FIRST, _LAST = date(1970, 1, 1), date(2000, 1, 1), date(2200, 1, 1)

Names = Annotated[list[Text], msgspec.Meta(max_length=_MOST_NAMES)]


class PreferencesIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a contact prefers; what is left out is not limited."""

    refused_topics: Names = []
    only_topics: Names | None = None  # no other topic is wanted; null: any is
    refused_channels: Names = []
    per_week: Annotated[int, msgspec.Meta(ge=1, le=MOST_A_WEEK)] | None = None  # most mails
    paused_until: date | None = None  # first day on which mail is welcome again
    source: Text = "api"  # who says so, for the consent ledger
    proof: Text = ""  # what shows it, such as the id of a form


class PreferencesOut(msgspec.Struct, frozen=True):
    """What is kept from now on, and the planned sends that it took back."""

    contact_id: str
    refused_topics: list[str]
    only_topics: list[str] | None
    refused_channels: list[str]
    per_week: int | None
    paused_until: date | None
    withdrawn: list[WithdrawnSend]


class ConsentWord(msgspec.Struct, frozen=True):
    """A line of the consent ledger."""

    at: str
    source: str
    purpose: str
    word: str
    topic: str | None
    channel: str | None
    proof: str


class ConsentState(msgspec.Struct, frozen=True):
    """What a contact prefers, and every word that led to it, in its order."""

    preferences: PreferencesOut
    consent: bool  # as put; words against mail come on top
    no_mail: list[str]  # what forbids all mail now, in every journey; empty where nothing does
    ledger: list[ConsentWord]


def wish_of(request: PreferencesIn) -> Preferences:
    """The preferences of a request.

    Raises:
        RequestError: a day is none that can be meant.
    """
    only = request.only_topics
    return Preferences(
        frozenset(request.refused_topics),
        None if only is None else frozenset(only),
        frozenset(request.refused_channels),
        request.per_week,
        _moment(request.paused_until),
    )


def wish_of_form(
    fields: Mapping[str, Sequence[str]],
    topics: Collection[str],
    channels: Collection[str],
    before: Preferences,
) -> Preferences:
    """The preferences of a filled-in form.

    Args:
        fields: its values, by name; of topics and channels those that are wanted.
        topics: that the form offers, and `channels` likewise; others stay as they are.
        before: what was preferred.

    Raises:
        RequestError: a number or a day cannot be read.
    """
    wanted, by = set(fields.get("topic", ())), set(fields.get("channel", ()))
    only = before.only_topics
    most, back = _one(fields, "per_week"), _one(fields, "paused_until")
    if most and not (_NUMBER.fullmatch(most) and 1 <= int(most) <= MOST_A_WEEK):
        raise RequestError(f"expected mails a week from 1 to {MOST_A_WEEK}, got {most[:20]!r}")
    try:
        day = date.fromisoformat(back) if back else None
    except ValueError as error:
        raise RequestError(f"expected a day such as 2027-01-31, got {back[:20]!r}") from error
    return Preferences(
        _others(before.refused_topics, topics) | (set(topics) - wanted),
        None if only is None else only | (wanted & set(topics)),
        _others(before.refused_channels, channels) | (set(channels) - by),
        int(most) if most else None,
        _moment(day),
    )


def preferences_out(
    contact_id: str, wish: Preferences, withdrawn: Sequence[Withdrawal]
) -> PreferencesOut:
    """Preferences as they go over the wire."""
    return PreferencesOut(
        contact_id,
        sorted(wish.refused_topics),
        None if wish.only_topics is None else sorted(wish.only_topics),
        sorted(wish.refused_channels),
        wish.per_week,
        day_of(wish),
        [withdrawn_send(one) for one in withdrawn],
    )


def word_out(entry: ConsentEntry) -> ConsentWord:
    """A line of the ledger as it goes over the wire."""
    e = entry
    at = iso(e.at_us) or ""
    return ConsentWord(at, e.source, e.purpose, e.word, e.topic, e.channel, e.proof)


def day_of(wish: Preferences) -> date | None:
    """The first day on which mail is welcome again; None: it is not paused."""
    days = wish.paused_until_us // DAY_US
    return date.fromordinal(_EPOCH.toordinal() + days) if days else None


def _moment(back: date | None) -> int:
    """A day counts from noon UTC, when it has begun in every zone."""
    if back is None:
        return 0
    if not _FIRST <= back < _LAST:
        raise RequestError(f"expected a day from 2000 to 2199, got {back} - at `$.paused_until`")
    return (back - _EPOCH).days * DAY_US + DAY_US // 2


def _others(names: Iterable[str], offered: Iterable[str]) -> frozenset[str]:
    """Names that the form does not offer, however they are spelled."""
    known = {contact_key(name) for name in offered}
    return frozenset(name for name in names if contact_key(name) not in known)


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "").strip()
