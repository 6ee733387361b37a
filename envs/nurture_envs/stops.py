"""What people can say that forbids mail in every journey, whatever its signals and guardrails.

A journey's own guardrails are applied too. A negative reply counts like an opt-out: a person who
answers "not interested" has refused mail, and only consent of their own takes that back.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

SNOOZE_DAYS = 30  # of a `snoozed` event that names no number of days as its value
LONGEST_SNOOZE_DAYS = 36_500

# A server's, whatever the journey says; simulations know neither.
AWAY_DAYS = 7  # without mail after a reply classed `out_of_office` that names no end
LONGEST_AWAY_DAYS = 366  # nobody is away for longer: a date beyond is a mistake
SOFT_BOUNCES = 3  # `soft_bounce` events within SOFT_BOUNCE_DAYS stand like a hard bounce,
SOFT_BOUNCE_DAYS = 7
SOFT_BOUNCE_REST_DAYS = 14  # for so many days after the last of them


class Say(StrEnum):
    """What an event says about mail."""

    STOP = "stop"  # no mail until consent is given again
    WITHDRAWN = "withdrawn"  # likewise, and consent is gone
    BOUNCED = "bounced"  # the address is dead: consent does not bring it back
    SNOOZE = "snooze"  # no mail for some days
    CONSENT = "consent"  # takes back stops, withdrawals and snoozes that are older


_OF_TYPE = {
    "unsubscribe": Say.STOP,
    "complaint": Say.STOP,
    "consent_withdrawn": Say.WITHDRAWN,
    "hard_bounce": Say.BOUNCED,
    "snoozed": Say.SNOOZE,
    "consent_given": Say.CONSENT,
    "resubscribe": Say.CONSENT,
}
STOPPING_REPLIES = frozenset({"unsubscribe_request", "negative"})

# Other systems' words, plainly written, and ours for them. A journey whose signals use one of them
# as a type of its own cannot make it mean less.
OTHER_TYPES = {
    **dict.fromkeys(
        (
            *("unsubscribed", "unsub", "opt_out", "optout", "opted_out", "list_unsubscribe"),
            *("group_unsubscribe", "do_not_contact", "do_not_mail", "unsubscribe_request"),
        ),
        "unsubscribe",
    ),
    **dict.fromkeys(
        ("complained", "spam_complaint", "spam_report", "spamreport", "spam", "marked_as_spam"),
        "complaint",
    ),
    **dict.fromkeys(("hard_bounced", "hardbounce", "permanent_bounce"), "hard_bounce"),
    **dict.fromkeys(("soft_bounced", "softbounce", "transient_bounce"), "soft_bounce"),
    **dict.fromkeys(("consent_revoked", "consent_withdrawal"), "consent_withdrawn"),
    "snooze": "snoozed",
    "replied": "reply",
}
OTHER_REPLIES = {
    **dict.fromkeys(
        ("unsubscribe", "unsubscribed", "opt_out", "optout", "stop", "unsubscribe_requested"),
        "unsubscribe_request",
    ),
    "not_interested": "negative",
}
AWAY_REPLY = "out_of_office"


def plain(word: str) -> str:
    """A word in small letters, its parts joined by underscores."""
    return re.sub(r"[\s_-]+", "_", word.strip().lower())


@lru_cache(maxsize=4096)
def say_of(kind: str, reply_class: str | None) -> Say | None:
    """What an event of this type and reply class says about mail; None: nothing."""
    reply = plain(reply_class or "")
    if OTHER_REPLIES.get(reply, reply) in STOPPING_REPLIES:
        return Say.STOP
    name = plain(kind)
    say = _OF_TYPE.get(kind) or _OF_TYPE.get(OTHER_TYPES.get(name, name))
    # A word for mail counts only as it is written here.
    return None if say is Say.CONSENT and kind not in _OF_TYPE else say


def forbids(say: Say | None) -> bool:
    """Whether mail is forbidden after it."""
    return say is not None and say is not Say.CONSENT


FORBIDDING_TYPES = frozenset(kind for kind, say in _OF_TYPE.items() if forbids(say))
