"""The Event Webhook of Twilio SendGrid: a JSON list of flat rows, signed by ECDSA.

Source: Twilio SendGrid, Event Webhook Reference, and Getting Started with the Event Webhook
    Security Features.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.senders.ecdsa_signing import is_signed, public_key
from nurture_rl.serving.senders.sender_adapter import (
    CONTACT,
    DECISION,
    TOPIC,
    NotSigned,
    ReportedEvent,
    Row,
    UntranslatedRow,
)

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

# It tries again for a day what was not taken, and may do so with the first signature.
_OLDEST_US = 25 * 3_600_000_000
_AHEAD_US = 300_000_000  # by which its clock may run ahead of ours
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 500  # characters of a text that is kept beside an event
_KINDS = {
    "processed": "sent",
    "deferred": "deferred",
    "delivered": "delivered",
    "dropped": "dropped",
    "open": "open",
    "click": "click",
    "spamreport": "complaint",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
    "group_resubscribe": "resubscribe",
}
_BOUNCES = ("bounce", "blocked")
_SOFT = ("blocked", "expired")  # types of a bounce after which the address may still be good
_DEAD = "invalid address"  # the class of a bounce by which it is not
# Why nothing was sent at all: the address is on one of its lists. No mail went by such a row.
_ON_LIST = {
    "bounced address": "hard_bounce",
    "invalid": "hard_bounce",
    "unsubscribed address": "unsubscribe",
    "spam reporting address": "unsubscribe",
}
_OF_ACCOUNT = "account_status_change"
_KEPT = ("reason", "status", "response", "attempt", "type", "bounce_classification")
_rows_in = msgspec.json.Decoder(list[Any])


@dataclass(frozen=True, slots=True)
class SendGrid:
    """Reads SendGrid's webhooks. Mails must carry `contact_id` as a custom argument."""

    key: EllipticCurvePublicKey  # the verification key of its signed event webhook
    name: str = "sendgrid"

    @classmethod
    def of(cls, key_file: Path) -> SendGrid:
        """The adapter for a key.

        Raises:
            ConfigError: the file holds none that can be used.
        """
        return cls(public_key(key_file))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; what it tries again within a day is taken."""
        stamp, signature = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
        if not re.fullmatch(r"[0-9]{1,12}", stamp) or not signature:
            raise NotSigned(
                f"expected the headers {SIGNATURE} and {TIMESTAMP}; switch on the signed event "
                "webhook"
            )
        if not is_signed(self.key, signature, stamp.encode() + body):
            raise NotSigned("the signature is not the sender's over this body and time")
        age_us = now_us - int(stamp) * 1_000_000
        if not -_AHEAD_US <= age_us <= _OLDEST_US:
            raise NotSigned(
                f"expected a signature of the last {_OLDEST_US // 3_600_000_000} hours, got one of "
                f"{age_us / 3_600_000_000:.1f} hours ago"
            )

    def rows(self, body: bytes) -> Sequence[Any]:
        """See `SenderAdapter`; a list of them."""
        return _rows_in.decode(body)

    def events(self, row: Row) -> list[ReportedEvent]:
        """See `SenderAdapter`; what a list of its own forbids comes as a second event."""
        kind = _kind(row)
        cells = {
            "event_id": _named(row.get("sg_event_id")),
            "contact_id": _argument(row, CONTACT),
            "occurred_at": _moment(row.get("timestamp")),
            "type": kind,
            "source": self.name,
            "message_id": row.get("sg_message_id"),
            "decision_id": _argument(row, DECISION),
            "topic": _argument(row, TOPIC),
            "is_machine": kind == "open" and row.get("sg_machine_open") in (True, "true"),
            "properties": _properties(row),
        }
        cells = {name: cell for name, cell in cells.items() if cell is not None}
        email = row.get("email")
        recipient = email if isinstance(email, str) else None
        found = [ReportedEvent(cells, recipient)]
        said = _ON_LIST.get(_plain(row.get("reason"))) if kind == "dropped" else None
        if said is not None:
            of_mail = ("decision_id", "message_id", "topic")
            listed = {name: cell for name, cell in cells.items() if name not in of_mail}
            name = {"event_id": f"{cells['event_id']}:list"} if "event_id" in cells else {}
            found.append(ReportedEvent({**listed, **name, "type": said}, recipient))
        return found


def _kind(row: Row) -> str:
    """The type of a row in our words."""
    word = row.get("event")
    plain = _plain(word)
    if plain in _BOUNCES:
        soft = plain == "blocked" or _plain(row.get("type")) in _SOFT
        dead = _plain(row.get("bounce_classification")) == _DEAD
        return "soft_bounce" if soft and not dead else "hard_bounce"
    if plain in _KINDS:
        return _KINDS[plain]
    if forbids(say_of(plain, None)):
        return plain
    if plain == _OF_ACCOUNT:
        text = f"{_OF_ACCOUNT} says something of the account, {row.get('type')!r}, not of a contact"
        raise UntranslatedRow(text[:_LONGEST], may_forbid_mail=False)
    known = ", ".join((*_KINDS, *_BOUNCES))
    raise UntranslatedRow(f"unknown event {str(word)[:200]!r}; known are {known} - at `$.event`")


def _plain(word: Any) -> str:
    return word.strip().lower() if isinstance(word, str) else ""


def _named(name: Any) -> Any:
    """Its ids beside those of other sources."""
    return f"sendgrid:{name}" if isinstance(name, str) and name else None


def _argument(row: Row, name: str) -> Any:
    """A custom argument: it comes back among the fields of the row, or in an object of its own."""
    apart = [row.get(key) for key in ("unique_args", "custom_args")]
    for place in (row, *(one for one in apart if isinstance(one, dict))):
        value = place.get(name)
        if value is not None and value != "":
            number = isinstance(value, int) and not isinstance(value, bool)
            return str(value) if number else value
    return None


def _moment(stamp: Any) -> Any:
    """Seconds since 1970 as ISO-8601; anything else as it is."""
    if isinstance(stamp, str) and re.fullmatch(r"[0-9]{1,12}", stamp):
        stamp = int(stamp)
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        return stamp
    try:
        return (_EPOCH + timedelta(seconds=stamp)).isoformat()
    except OverflowError:
        return stamp


def _properties(row: Row) -> Row:
    """What the receiving server said, and the group or the link it is about; no address."""
    texts = {name: row[name] for name in _KEPT if isinstance(row.get(name), str | int)}
    if isinstance(url := row.get("url"), str):
        texts["url"] = re.split(r"[?#]", url, maxsplit=1)[0]  # the rest may name people
    if _plain(row.get("event")).startswith("group_") and row.get("asm_group_id") is not None:
        texts["group"] = str(row["asm_group_id"])
    return {name: str(text)[:_LONGEST] for name, text in texts.items()}
