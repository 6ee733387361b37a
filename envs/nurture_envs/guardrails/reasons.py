"""Why an action is forbidden, as bits and as names."""

from __future__ import annotations

from enum import IntFlag


class Reason(IntFlag):
    """Why an action is forbidden; several may hold at once."""

    NO_CONSENT = 1
    OPTED_OUT = 2
    HARD_BOUNCE = 4
    SALES_CONVERSATION = 8
    FREQUENCY_CAP = 16  # of all messages; caps of some have bits of their own
    MINIMUM_GAP = 32
    QUIET_HOURS = 64
    NOT_APPROVED = 128
    EXPIRED = 256
    PAUSED = 512
    UNAVAILABLE = 1024
    SLOT_PASSED = 2048
    NO_INTENT = 4096
    NOT_ELIGIBLE = 8192
    OUT_OF_STOCK = 16384
    SELLER_CAPACITY = 1 << 15  # of all contacts together, as the next
    VOLUME_RAMP = 1 << 16
    JOB_CAP = 1 << 17
    CLAIM_CAP = 1 << 18
    BLOCK_CAP = 1 << 19
    ACCOUNT_CAP = 1 << 20  # of an account: servers alone know its contacts
    ACCOUNT_CONVERSATION = 1 << 21
    BLACKOUT = 1 << 22
    CHANNEL_CAP = 1 << 23
    TOPIC_CAP = 1 << 24
    MESSAGE_CAP = 1 << 25  # a repetition of the message too
    NOT_WANTED = 1 << 26  # the contact refused the topic or the channel
    WANTED_LESS = 1 << 27  # the contact asked for fewer mails
    INACTIVE = 1 << 28  # too many mails for somebody who does nothing, or no probe was drawn
    UNANSWERED = 1 << 29  # a mail for the same job was sent, and no answer came
    COOL_OFF = 1 << 30  # they made the visit that the message speaks of a short time ago


# The cap that is full, by the column of messages that it asks; see `Group`.
CAP_REASONS = {
    "": Reason.FREQUENCY_CAP,
    "channel": Reason.CHANNEL_CAP,
    "topic": Reason.TOPIC_CAP,
    "message": Reason.MESSAGE_CAP,
    "job": Reason.JOB_CAP,
    "claim": Reason.CLAIM_CAP,
    "block": Reason.BLOCK_CAP,
}
_NAMES = tuple((int(reason), str(reason.name).lower()) for reason in Reason)


def reason_names(bits: int) -> list[str]:
    """Readable names of a union of reasons, e.g. `['minimum_gap', 'quiet_hours']`."""
    return [name for bit, name in _NAMES if bits & bit]
