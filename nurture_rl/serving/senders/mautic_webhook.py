"""Mautic's webhooks: a JSON object of triggers, each with its payloads, signed by HMAC.

Source: Mautic's developer documentation, Webhooks. The signature is over the body alone and has no
time: who posts a request again changes nothing, since an event's id comes from its content.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from nurture_rl.errors import ConfigError
from nurture_rl.serving.senders.sender_adapter import (
    CONTACT,
    DECISION,
    NotSigned,
    ReportedEvent,
    Row,
    UntranslatedRow,
)

SIGNATURE = "webhook-signature"
_TRIGGER = "trigger"  # where a row says which it is
_SHORTEST = 16  # characters of a secret
_SEND, _OPEN, _HIT = "mautic.email_on_send", "mautic.email_on_open", "mautic.page_on_hit"
_FORM, _STATUS = "mautic.form_on_submit", "mautic.lead_channel_subscription_changed"
_SAYS = {_SEND: "sent", _OPEN: "open", _FORM: "form_submitted"}
# Mail by hand is refused as by the contact's own click.
_STATES = {
    "unsubscribed": "unsubscribe",
    "manual": "unsubscribe",
    "bounced": "hard_bounce",
    "contactable": "resubscribe",
}
_NEUTRAL = re.compile(r"mautic\.(lead_points_change|lead_post_save_(new|update)|company_.*)")
# Channels of Mautic's own and of its plug-ins; any other one may be mail under another name.
_NOT_MAIL = ("sms", "notification", "mobile_notification", "web_notification", "whatsapp", "tweet")
_GROUP = "mautic email"  # a word here takes back no word from elsewhere
_UNDER = ("stat", "hit", "submission")  # where a payload may have its contact
_body_in = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class MauticWebhook:
    """Reads Mautic's webhooks. Its contacts have the field `nurture_contact_id`, or their address
    is the contact's id."""

    secret: bytes = field(repr=False)
    name: str = "mautic"

    @classmethod
    def of(cls, key_file: Path) -> MauticWebhook:
        """The adapter for a secret.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        try:
            mode, text = key_file.stat().st_mode, key_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"expected a secret at {key_file}, got: {error}") from error
        if mode & 0o077:
            raise ConfigError(f"expected {key_file} to be its owner's alone; chmod 600 {key_file}")
        if len(text) < _SHORTEST or len(text.split()) != 1:
            raise ConfigError(
                f"expected one secret of at least {_SHORTEST} characters at {key_file}; copy it "
                "from the webhook's settings in Mautic"
            )
        return cls(text.encode())

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; no time is signed."""
        shown = headers.get(SIGNATURE, "")
        if not shown:
            raise NotSigned(f"expected the header {SIGNATURE}; give the webhook a secret")
        own = b64encode(hmac.new(self.secret, body, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(own.encode(), shown.encode("utf-8", "replace")):
            raise NotSigned("the signature is not the sender's over this body")

    def rows(self, body: bytes) -> Sequence[Any]:
        """See `SenderAdapter`; each payload with the trigger that it stands under."""
        found: list[Any] = []
        for trigger, payloads in _body_in.decode(body).items():
            for one in payloads if isinstance(payloads, list) else [payloads]:
                found.append({**one, _TRIGGER: trigger} if isinstance(one, dict) else one)
        return found

    def events(self, row: Row) -> list[ReportedEvent]:
        """See `SenderAdapter`."""
        kind, lead = _kind(row), _lead(row)
        cells = {
            "event_id": _named(row),
            "contact_id": _field(lead, "nurture_contact_id"),
            "occurred_at": row.get("timestamp"),
            "type": kind,
            "source": self.name,
            "message_id": row.get("idHash") or _under(row, "stat").get("trackingHash"),
            "decision_id": _token(row, DECISION) if kind == "sent" else None,
            # Mautic cannot tell a reader's open from a program's: none counts as a reader's.
            "is_machine": kind == "open",
            "properties": _properties(row, kind),
        }
        if cells[CONTACT] is None and kind == "sent":
            cells[CONTACT] = _token(row, CONTACT)
        cells = {name: cell for name, cell in cells.items() if cell is not None}
        email = _field(lead, "email")
        return [ReportedEvent(cells, email if isinstance(email, str) else None)]


def _kind(row: Row) -> str:
    """The type of a row in our words."""
    trigger = _word(row.get(_TRIGGER))
    if trigger in _SAYS:
        return _SAYS[trigger]
    if trigger == _HIT:
        hit = _under(row, "hit")
        return "click" if hit.get("source") == "email" or hit.get("email") else "page_view"
    if trigger == _STATUS:
        channel, state = _word(row.get("channel")), _word(row.get("new_status"))
        if channel != "email":
            text = f"the channel {channel[:50]!r} is not mail"
            raise UntranslatedRow(text, may_forbid_mail=channel not in _NOT_MAIL)
        if state in _STATES:
            return _STATES[state]
        raise UntranslatedRow(f"unknown status {state[:50]!r} - at `$.new_status`")
    known = ", ".join((*_SAYS, _HIT, _STATUS))
    neutral = _NEUTRAL.fullmatch(trigger) is not None
    text = f"unknown trigger {trigger[:200]!r}; known are {known}"
    raise UntranslatedRow(text, may_forbid_mail=not neutral)


def _word(cell: Any) -> str:
    return cell.strip().lower() if isinstance(cell, str) else ""


def _named(row: Row) -> str:
    """An id of what a payload says: the same however often it comes."""
    content = json.dumps(row, sort_keys=True, ensure_ascii=True).encode()
    return f"mautic:{hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _under(row: Row, name: str) -> Row:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _lead(row: Row) -> Row:
    """The contact of a payload, wherever it stands."""
    places = [row, *(_under(row, name) for name in _UNDER)]
    told = (place.get(name) for place in places for name in ("contact", "lead"))
    return next((one for one in told if isinstance(one, dict)), {})


def _field(lead: Row, name: str) -> Any:
    """A field of a contact: plain, among all, or in a group with its value inside."""
    fields = _under(lead, "fields")
    for place in (lead, fields, *(one for one in fields.values() if isinstance(one, dict))):
        value = place.get(name)
        value = value.get("value") if isinstance(value, dict) else value
        if value not in (None, ""):
            number = isinstance(value, int) and not isinstance(value, bool)
            return str(value) if number else value
    return None


def _token(row: Row, name: str) -> Any:
    return _under(row, "tokens").get(f"{{nurture_{name}}}") or None


def _properties(row: Row, kind: str) -> Row:
    """What it is about; no address, and no link's query, which may name people."""
    told: Row = {}
    if isinstance(url := _under(row, "hit").get("url"), str):
        told["url"] = re.split(r"[?#]", url, maxsplit=1)[0][:500]
    if kind in ("unsubscribe", "resubscribe"):
        told |= {"group": _GROUP, "status": str(row.get("new_status"))[:50]}
    return told
