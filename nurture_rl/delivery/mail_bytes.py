"""A mail as the bytes of RFC 5322: headers that nobody can add to, a Message-ID of the decision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from nurture_rl.delivery.recipients import checked_address, one_line
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.errors import ConfigError, DeliveryError

# No server needs to know more than ASCII.
_POLICY = SMTP.clone(cte_type="7bit")
_LONGEST_PLAIN = 68  # characters of a subject that stands on one line of 78


@dataclass(frozen=True, slots=True)
class MailFrom:
    """Who mail comes from."""

    author: Address  # the header From
    envelope: str  # where bounces go
    reply_to: str | None


def mail_from(from_address: str, envelope_from: str | None, reply_to: str | None) -> MailFrom:
    """Check who mail comes from.

    Raises:
        ConfigError: an address is none.
    """
    try:
        message = EmailMessage(policy=_POLICY)
        message["From"] = one_line(from_address, "from_address")
        (author,) = message["From"].addresses
        plain = checked_address(author.addr_spec, "from_address")
        local, _, domain = plain.rpartition("@")
        envelope = checked_address(envelope_from or plain, "envelope_from")
        answers = None if reply_to is None else checked_address(reply_to, "reply_to")
    except (DeliveryError, ValueError, IndexError, MessageError) as error:
        raise ConfigError(
            "from_address: expected an address, perhaps with a name as in 'Ada <ada@example.com>', "
            f"got {from_address!r} ({error})"
        ) from error
    return MailFrom(Address(author.display_name, local, domain), envelope, answers)


def decision_digest(decision_id: str) -> str:
    """A name of a decision that any header and any event id can hold."""
    content = decision_id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def message_id(decision_id: str, sender: MailFrom) -> str:
    """The Message-ID of a decision's mail, without brackets: the same in every attempt."""
    return f"{decision_digest(decision_id)}@{sender.author.domain}"


def mail_bytes(mail: RenderedMail, sender: MailFrom, now: float) -> bytes:
    """The whole mail, lines ended by CR LF.

    Args:
        mail: what it says, and to whom.
        sender: who it comes from.
        now: seconds since 1970 UTC, for its date.

    Raises:
        DeliveryError: it has no link of one-click unsubscribe.
    """
    if mail.plan.list_unsubscribe is None:
        raise DeliveryError(
            f"decision {mail.plan.decision_id}: expected a List-Unsubscribe header, got none: run "
            "the server (and `nurture decide`) with public_url, or people cannot leave"
        )
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender.author
    message["Date"] = formatdate(now)
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    # Written by hand: a long link must be neither folded nor encoded, and what people gave must
    # not be read as encoded words, which may stand for the end of a line.
    subject = one_line(mail.subject, f"decision {mail.plan.decision_id}, subject")
    head = {
        "Message-ID": f"<{message_id(mail.plan.decision_id, sender)}>",
        "List-Unsubscribe": mail.plan.list_unsubscribe,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "To": mail.recipient.address,
        "Subject": _unstructured(subject),
    }
    if sender.reply_to is not None:
        head["Reply-To"] = sender.reply_to
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return lines.encode("ascii") + message.as_bytes()


def _unstructured(text: str) -> str:
    """A line of text as a header has it: as it is, or as encoded words that say it."""
    if text.isascii() and "=?" not in text and len(text) <= _LONGEST_PLAIN and text == text.strip():
        return text
    return Header(text, "utf-8", header_name="Subject").encode(linesep="\r\n")
