"""What people can say that forbids mail in every journey, whatever its signals and guardrails.

A journey's own guardrails come on top. A negative reply counts like an opt-out: who answers "not
interested" has said no, and only a yes of their own takes that back.
"""

from __future__ import annotations

from enum import StrEnum

SNOOZE_DAYS = 30  # of a `snoozed` event that names no number of days as its value
LONGEST_SNOOZE_DAYS = 36_500


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


def say_of(kind: str, reply_class: str | None) -> Say | None:
    """What an event of this type and reply class says about mail; None: nothing."""
    if reply_class in STOPPING_REPLIES:
        return Say.STOP
    return _OF_TYPE.get(kind)


def forbids(say: Say | None) -> bool:
    """Whether mail is forbidden after it."""
    return say is not None and say is not Say.CONSENT


FORBIDDING_TYPES = frozenset(kind for kind, say in _OF_TYPE.items() if forbids(say))
