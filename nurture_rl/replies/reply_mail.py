"""A mail that came in: who wrote it, when, its own words, and which mails it answers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Literal

from nurture_rl.replies.own_words import own_words, text_of_html

_ID = re.compile(r"<([^<>\s]+)>")
# What programs that answer by themselves put into the head (RFC 3834, and Exchange).
_AUTOMATIC = ("x-autoreply", "x-autorespond", "x-auto-response-from")
_BULK = frozenset({"auto_reply", "auto-reply", "autoreply"})
_MOST_ANSWERED = 50  # mails of a thread that are looked at

Notice = Literal["bounce", "complaint"]


@dataclass(frozen=True, slots=True)
class ReplyMail:
    """One mail, read."""

    mail_id: str  # its Message-ID without brackets; without one a hash of its bytes
    sender: str | None  # address in small letters; None: there is none to be read
    written_us: int | None  # by its Date or Received, microseconds since 1970 UTC
    subject: str
    text: str  # own words
    is_automatic: bool  # its head says that a program wrote it
    answers: tuple[str, ...]  # Message-IDs of the thread, the mail that is answered first
    notice: Notice | None = None  # what a delivery report (RFC 3464) or a complaint (RFC 5965) says
    about: str | None = None  # of a notice: the address whose mail it is about
    status: str | None = None  # of a bounce: its code, such as 5.1.1 (RFC 3463)


def read_mail(raw: bytes) -> ReplyMail:
    """Read a mail; what cannot be read in it is left empty, whatever the bytes are."""
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    name = _ids(mail, "message-id")
    notice, about, status = _notice(mail)
    return ReplyMail(
        mail_id=name[0] if name else hashlib.sha256(raw).hexdigest(),
        sender=_address(mail, "from") or _address(mail, "reply-to"),
        written_us=_written(mail),
        subject=_header(mail, "subject")[:500],
        text=own_words(_words(mail)),
        is_automatic=_is_automatic(mail),
        answers=_answered(mail),
        notice=notice,
        about=about,
        status=status,
    )


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(mail.get(name, "")).split())
    except (MessageError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _ids(mail: EmailMessage, name: str) -> list[str]:
    return _ID.findall(_header(mail, name))


def _answered(mail: EmailMessage) -> tuple[str, ...]:
    direct, thread = _ids(mail, "in-reply-to"), _ids(mail, "references")
    for part in mail.walk():  # a returned mail, or its head
        if part is not mail and part.get("message-id"):
            thread = [*_ID.findall(str(part.get("message-id"))), *thread]
    return tuple(dict.fromkeys([*direct, *reversed(thread)]))[:_MOST_ANSWERED]


def _address(mail: EmailMessage, name: str) -> str | None:
    found = re.findall(r"[^\s<>\"',;:()]+@[^\s<>\"',;:()]+", _header(mail, name))
    return found[-1].lower() if found else None


def _written(mail: EmailMessage) -> int | None:
    """By its Date, or else by what the last server noted that passed it on."""
    received = [str(one).rpartition(";")[2] for one in mail.get_all("received", [])]
    for said in (_header(mail, "date"), *received):
        try:
            moment = parsedate_to_datetime(said.strip())
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return int((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _is_automatic(mail: EmailMessage) -> bool:
    submitted = _header(mail, "auto-submitted").lower().partition(";")[0].strip()
    return (
        submitted not in ("", "no")
        or any(mail.get(name) is not None for name in _AUTOMATIC)
        or _header(mail, "precedence").lower() in _BULK
    )


def _words(mail: EmailMessage) -> str:
    plain: list[str] = []
    html: list[str] = []
    for part in mail.walk():
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        kind = part.get_content_type()
        if kind not in ("text/plain", "text/html"):
            continue
        (plain if kind == "text/plain" else html).append(_decoded(part))
    text = "\n".join(plain)
    return text if text.strip() else text_of_html("\n".join(html))


def _decoded(part: EmailMessage) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    for charset in (part.get_content_charset(), "utf-8"):
        try:
            return content.decode(charset or "utf-8")
        except (LookupError, UnicodeDecodeError):
            continue
    return content.decode("cp1252", "replace")


def _notice(mail: EmailMessage) -> tuple[Notice | None, str | None, str | None]:
    """What a report says whose kind its content type tells; of the first recipient alone."""
    if mail.get_content_type() != "multipart/report":
        return None, None, None
    told = "\n".join(
        str(part)
        for part in mail.walk()
        if part.get_content_type() in ("message/delivery-status", "message/feedback-report")
    )
    about = _field(told, "final-recipient") or _field(told, "original-rcpt-to")
    address = None if about is None else about.rpartition(";")[2].strip(" <>").lower()
    if _field(told, "feedback-type") == "abuse":
        return "complaint", address, None
    if (_field(told, "action") or "").lower() != "failed":
        return None, None, None
    return "bounce", address, _field(told, "status")


def _field(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}:[ \t]*(.+?)\s*$", text, re.IGNORECASE | re.MULTILINE)
    return found.group(1) if found else None
