"""The ledger of a contact: what stands against mail, since when, and what took it back."""

from __future__ import annotations

from typing import Any

import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.stops import STOPPING_REPLIES, Say, forbids, say_of
from nurture_rl.logs.schema import EVENT_TYPES, REPLY_CLASSES
from nurture_rl.serving.contacts.mail_permission import MailPermission, permission_of
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Event
from nurture_rl.serving.storage.ledger import settle
from tests.unit.release.bundles import journey
from tests.unit.serving.contacts import event


def said(kind: str, at_us: int, heard_us: int | None = None, **cells: Any) -> Event:
    """An event that was acknowledged when it was heard."""
    return event(kind, at_us, recorded_us=at_us if heard_us is None else heard_us, **cells)


def test_every_word_of_the_table_of_events_says_what_it_says() -> None:
    found = {kind: say_of(kind, None) for kind in EVENT_TYPES}
    assert {kind: say for kind, say in found.items() if say} == {
        "unsubscribe": Say.STOP,
        "complaint": Say.STOP,
        "consent_withdrawn": Say.WITHDRAWN,
        "hard_bounce": Say.BOUNCED,
        "snoozed": Say.SNOOZE,
        "consent_given": Say.CONSENT,
        "resubscribe": Say.CONSENT,
    }
    assert STOPPING_REPLIES < REPLY_CLASSES
    assert say_of("click", "negative") is Say.STOP
    assert say_of("reply", "positive") is None
    # A journey's own types cannot make a word mean less, and none makes a word for mail.
    own = ["Opt-Out", "spam", "consent_revoked", "hardbounce", "snooze", "Consent Given"]
    assert [say_of(kind, None) for kind in own] == [
        *(Say.STOP, Say.STOP, Say.WITHDRAWN, Say.BOUNCED, Say.SNOOZE, None)
    ]
    assert say_of("reply", "Not interested") is Say.STOP
    assert [forbids(say) for say in (None, *Say)] == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("words", "standing"),
    [
        ([], MailPermission()),
        ([said("unsubscribe", 5)], MailPermission(opted_out=True)),
        ([said("consent_withdrawn", 5)], MailPermission(withdrawn=True)),
        ([said("hard_bounce", 5)], MailPermission(bounced=True)),
        ([said("consent_given", 9), said("unsubscribe", 5)], MailPermission(opted_out=True)),
        ([said("unsubscribe", 5), said("consent_given", 5)], MailPermission(opted_out=True)),
        ([said("unsubscribe", 5), said("consent_given", 4, 9)], MailPermission(opted_out=True)),
        # A word ahead of the clock was said when it was heard.
        (
            [said("unsubscribe", 50, 5), said("consent_given", 6)],
            MailPermission(lifted=frozenset({"ada-unsubscribe-50"})),
        ),
        (
            [said("unsubscribe", 5), said("hard_bounce", 5), said("resubscribe", 6)],
            MailPermission(bounced=True, lifted=frozenset({"ada-unsubscribe-5"})),
        ),
        (
            [said("unsubscribe", 5), said("consent_given", 6), said("complaint", 3, 7)],
            MailPermission(opted_out=True, lifted=frozenset({"ada-unsubscribe-5"})),
        ),
    ],
)
def test_the_last_word_acknowledged_counts(words: list[Event], standing: MailPermission) -> None:
    assert permission_of(words) == standing


@pytest.mark.parametrize(
    ("value", "days"), [(None, 30), (2.0, 2), (0.5, 0.5), (0.0, 30), (-1.0, 30), (1e9, 36_500)]
)
def test_a_snooze_lasts_its_days_from_when_it_was_heard(value: float | None, days: float) -> None:
    heard = permission_of([said("snoozed", 5, 9, value=value)])
    assert heard.snoozed_until_us == 9 + days * DAY_US
    ahead = permission_of([said("snoozed", 9, 5, value=value), said("snoozed", 1, value=0.1)])
    assert ahead.snoozed_until_us == 9 + days * DAY_US
    assert heard == MailPermission(snoozed_until_us=heard.snoozed_until_us)
    over = permission_of([said("snoozed", 5, value=value), said("resubscribe", 6)])
    assert over.snoozed_until_us == 0


def test_what_may_forbid_mail_is_what_guardrails_read_and_what_fills_caps() -> None:
    found = Forbidding.of(journey())
    may = {kind for kind in EVENT_TYPES if found.may(kind, None)}
    always = {"unsubscribe", "complaint", "consent_withdrawn", "hard_bounce", "snoozed"}
    always |= {"soft_bounce"}
    assert may == always | {"reply", "sent", "escalated", "meeting_booked"}  # the last ends it
    assert found.may("click", "out_of_office")
    assert found.may("click", "negative")
    assert not found.may("click", "positive")
    assert not found.may(None, None)
    assert Forbidding(frozenset({"visit"})).may("visit", None)


def test_an_id_stands_for_one_event() -> None:
    stored = {"e": said("click", 1, event_id="e"), "u": said("unsubscribe", 1, event_id="u")}
    again = said("click", 7, event_id="e")  # another time is no other event
    other = said("open", 1, event_id="e")
    word = said("unsubscribe", 1, event_id="e", name="Ada ")
    same = said("unsubscribe", 1, 9, event_id="u", name="ADA")
    later = said("unsubscribe", 2, event_id="u")
    new = said("click", 1, event_id="n")
    found = settle([again, other, word, same, later, new, new], stored, Forbidding())
    ids = [event.event_id for event in found.fresh]
    assert ids[2] == "n"
    assert (ids[0][:2], ids[1][:2], len(ids[0])) == ("e#", "u#", 18)  # 16 hexadecimal digits
    assert len({*ids}) == len(ids) == 3
    assert (found.renamed, found.conflicting) == ((2, 4), (1,))
    repeat = settle([word], {**stored, ids[0]: found.fresh[0]}, Forbidding())
    assert [event.event_id for event in repeat.fresh] == [ids[0]]  # named alike every time


@pytest.mark.parametrize(
    "spelling", ["D4", " d4 ", "d4\n", "Ｄ４", "d\u200b4", "d4\ufeff", "\u00a0D4"]
)
def test_spellings_of_one_id_have_one_key(spelling: str) -> None:
    assert contact_key(spelling) == "d4"


def test_keys_keep_what_tells_ids_apart() -> None:
    names = ["d4", "d 4", "d-4", "d5", "zoe", "zoë", "straße x"]
    assert len({contact_key(name) for name in names}) == len(names)
    assert contact_key("zoe\u0308") == contact_key("ZOË") == "zoë"
    assert contact_key(contact_key("ﬁꜰ İ")) == contact_key("ﬁꜰ İ")
    assert contact_key(" \u200b\0") == contact_key("  ") == ""
    assert contact_key(" Lead-7@X.org ") == contact_key(" Lead-7@X.org\u200b ") == "lead-7@x.org"


NOON_24 = 20_811 * DAY_US + 12 * HOUR_US  # 2026-12-24, when that day has begun everywhere
THE_20TH = 20_807 * DAY_US


@pytest.mark.parametrize(
    ("cells", "until_us"),
    [
        ({"properties": '{"until": "2026-12-24"}'}, NOON_24),
        ({"properties": '{"until": "2026-12-24T08:00:00Z"}'}, NOON_24),
        ({"properties": '{"until": "2026-12-24"}', "value": 30.0}, NOON_24),
        ({"properties": '{"until": "2026-12-19"}'}, NOON_24 - 5 * DAY_US),  # over when it came
        ({"properties": '{"until": "2062-12-24"}'}, THE_20TH + 366 * DAY_US),
        ({"properties": '{"until": "Christmas"}'}, THE_20TH + 7 * DAY_US),
        ({"properties": '{"until": null}'}, THE_20TH + 7 * DAY_US),
        ({}, THE_20TH + 7 * DAY_US),
        ({"value": 2.5}, THE_20TH + 5 * DAY_US // 2),
        ({"value": -1.0}, THE_20TH + 7 * DAY_US),
        ({"value": 1e9}, THE_20TH + 366 * DAY_US),
    ],
)
def test_who_is_out_of_office_is_left_alone_until_they_are_back(
    cells: dict[str, Any], until_us: int
) -> None:
    reply = said("reply", THE_20TH, reply_class="out_of_office", **cells)
    found = permission_of([reply, said("consent_given", THE_20TH + 1)])
    assert found == MailPermission(away_until_us=until_us)


@pytest.mark.parametrize(
    ("days", "until"),
    [
        ([1, 2], 0),
        ([1, 2, 8], 22),
        ([8, 1, 2], 22),  # in whatever order they came
        ([1, 2, 8.5], 0),  # within seven and a half days
        ([1, 2, 30, 31], 0),
        ([1, 2, 3, 10], 17),  # the last three lie in eight days
        ([1, 2, 3, 7], 21),
        ([1, 1, 1], 15),
    ],
)
def test_soft_bounces_that_repeat_stand_like_a_hard_one_for_a_rest(
    days: list[float], until: int
) -> None:
    bounces = [said("soft_bounce", int(day * DAY_US)) for day in days]
    assert permission_of(bounces) == MailPermission(resting_until_us=until * DAY_US)
