"""A mail that came in: who wrote it, when, its own words, and which mails it answers."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from typing import Literal

from nurture_rl.replies.own_words import own_words, text_of_html

_ID = re.compile(r"<([^<>\s]+)>")
# What programs that answer by themselves put into the head (RFC 3834, and Exchange).
_AUTOMATIC = ("x-autoreply", "x-autorespond", "x-auto-response-from")
_BULK = frozenset({"auto_reply", "auto-reply", "autoreply"})
_MOST_ANSWERED = 50  # mails of a thread that are looked at
_LONGEST_HEADER = 5_000  # characters; what is beyond is cut off
_MOST_DAYS = 7  # that a mail may be under way; a Date further from its arrival is a wrong clock's
_DAY_US = 86_400_000_000
_YEARS = range(1990, 2101)
# Codecs that are no charsets of mails; some take hours for a megabyte.
_NO_CHARSET = ("punycode", "idna", "undefined")
# What the standard library's parser raises of one mail or another.
_UNREADABLE = (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

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
    try:
        return _read(message_from_bytes(raw), raw)
    except _UNREADABLE:  # such as a thousand parts within each other: its head alone
        head = BytesHeaderParser().parsebytes(raw)
        head.set_payload("")
        return _read(head, raw)


def _read(mail: Message, raw: bytes) -> ReplyMail:
    name = _ids(mail, "message-id")
    notice, about, status = _notice(mail)
    return ReplyMail(
        mail_id=name[0] if name else hashlib.sha256(raw).hexdigest(),
        sender=_address(mail, "from") or _address(mail, "reply-to"),
        written_us=_written(mail),
        subject=_header(mail, "subject")[:500],
        text=(_words(mail) or "").strip(),
        is_automatic=_is_automatic(mail),
        answers=_answered(mail),
        notice=notice,
        about=about,
        status=status,
    )


def _header(mail: Message, name: str) -> str:
    """A header in words; as it came where the parser cannot read it."""
    said = str(mail.get(name, ""))[:_LONGEST_HEADER]
    with suppress(*_UNREADABLE):
        said = str(policy.default.header_fetch_parse(name, said))
    return " ".join(said.split())


def _ids(mail: Message, name: str) -> list[str]:
    return _ID.findall(str(mail.get(name, ""))[:_LONGEST_HEADER])


def _answered(mail: Message) -> tuple[str, ...]:
    direct, thread = _ids(mail, "in-reply-to"), _ids(mail, "references")
    for part in mail.walk():  # a returned mail, or its head
        if part is not mail:
            thread = [*_ids(part, "message-id"), *thread]
    return tuple(dict.fromkeys([*direct, *reversed(thread)]))[:_MOST_ANSWERED]


def _address(mail: Message, name: str) -> str | None:
    found = re.findall(r"[^\s<>\",;:()@]{1,64}@[^\s<>\",;:()@]{1,255}", _header(mail, name))
    return found[-1].strip("'").lower() if found else None


def _written(mail: Message) -> int | None:
    """By its Date; by when the last server took it, where the Date is none or far from that."""
    received = [str(one).rpartition(";")[2] for one in mail.get_all("received", [])]
    came = next((at for one in received if (at := _moment(one)) is not None), None)
    date = _moment(str(mail.get("date", "")))
    if came is None or (date is not None and came - _MOST_DAYS * _DAY_US <= date <= came):
        return date
    return came


def _moment(said: str) -> int | None:
    try:
        moment = parsedate_to_datetime(said.strip()[:200])
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.year not in _YEARS:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


def _is_automatic(mail: Message) -> bool:
    submitted = _header(mail, "auto-submitted").lower().partition(";")[0].strip()
    return (
        submitted not in ("", "no")
        or mail.get_content_type() == "multipart/report"  # a delay, a receipt
        or any(mail.get(name) is not None for name in _AUTOMATIC)
        or _header(mail, "precedence").lower() in _BULK
    )


def _words(part: Message) -> str | None:
    """The own words of a mail or a part of one, without mails that it carries; None: no text."""
    kind = part.get_content_type()
    if part.get_content_disposition() == "attachment" or kind.startswith("message/"):
        return None
    if part.is_multipart():
        parts = (_words(one) for one in part.get_payload() if isinstance(one, Message))
        given = [one for one in parts if one is not None]
        if kind == "multipart/alternative":  # the first form that says something: the plain one
            return given[0] if given else None
        return "\n".join(given) if given else None
    if kind not in ("text/plain", "text/html"):
        return None
    text = _decoded(part)
    if not text.strip():
        return None
    return own_words(text if kind == "text/plain" else text_of_html(text))


def _decoded(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    for charset in (part.get_content_charset(), "utf-8"):
        if charset in _NO_CHARSET:
            continue
        try:
            return content.decode(charset or "utf-8")
        except (LookupError, ValueError):
            continue
    return content.decode("cp1252", "replace")


def _notice(mail: Message) -> tuple[Notice | None, str | None, str | None]:
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
