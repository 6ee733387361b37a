"""Mails that came in as events of the log: what each says, and of whom."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nurture_rl.delivery.planned_sends import utc_text
from nurture_rl.delivery.smtp_sender import is_dead
from nurture_rl.replies.away_until import away_until
from nurture_rl.replies.reply_classes import AWAY, STOP, UNCLEAR, GivenClass, ReplyClassifier
from nurture_rl.replies.reply_mail import ReplyMail

_AUTOMATIC = "automatic"
_NO_CLASS = ("other", UNCLEAR)  # replies of which the log says no class
_HELD = (UNCLEAR, "wrong_person")  # after which mail waits: it may have been a no
_SAME_TIME = 500  # mails that are classed at once


@dataclass(slots=True)
class FoundReplies:
    """What a look through some mailboxes came to."""

    rows: list[dict[str, Any]] = field(default_factory=list)  # of the events table
    # Mails that a person has to read, each with the reason.
    unread: list[dict[str, Any]] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)  # mails by what they are
    repeated: int = 0  # mails that lay in two places


@dataclass(frozen=True, slots=True)
class ReplyReader:
    """Reads mails as events."""

    classifier: ReplyClassifier
    whose: Mapping[str, Sequence[str]]  # contacts by address
    decisions: Mapping[str, str]  # by the first part of the Message-ID of their mail
    contact_of: Callable[[str], str | None]  # of a decision; None: nobody knows
    topics: Mapping[str, str]  # of objections, by kind
    hold_days: float  # without mail after a reply of _HELD; 0: mail goes on

    def read(self, mails: Iterable[ReplyMail]) -> FoundReplies:
        """The events of some mails, in their order; a mail that came twice counts once."""
        found, waiting = FoundReplies(), list[ReplyMail]()
        # Some programs give all their mails one Message-ID, and anybody can take another's.
        known = set[tuple[str | None, ...]]()
        for mail in mails:
            same = (mail.mail_id, mail.sender, mail.about, mail.subject, mail.text)
            if same in known:
                found.repeated += 1
                continue
            known.add(same)
            waiting.append(mail)
            if len(waiting) == _SAME_TIME:
                self._class(waiting, found)
                waiting = []
        self._class(waiting, found)
        return found

    def _class(self, mails: Sequence[ReplyMail], found: FoundReplies) -> None:
        texts = [(mail.subject, mail.text) for mail in mails]
        for mail, given in zip(mails, self.classifier.classes(texts), strict=True):
            self._add(mail, given, found)

    def _add(self, mail: ReplyMail, given: GivenClass, found: FoundReplies) -> None:
        decision = self._decision(mail)
        contacts = self._contacts(mail, decision)
        label = self._label(mail, given)
        found.labels[label] += 1
        cells = self._cells(mail, label, given)
        why = _why_read(mail, label, bool(contacts))
        if why is not None:
            found.unread.append(_to_read(mail, label, given, why, contacts))
        if cells is None or mail.written_us is None:
            return
        owner = None if decision is None else self.contact_of(decision)
        for contact in contacts:
            told = f"{mail.mail_id}\n{contact}\n{sorted(cells.items())}"
            name = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32]
            is_own = decision is not None and owner in (None, contact)
            row = {
                "event_id": f"reply-{name}",
                "contact_id": contact,
                "occurred_at": utc_text(mail.written_us),
                "source": "replies",
                **({"decision_id": decision} if is_own else {}),
                **cells,
            }
            found.rows.append(row)
            if label in _HELD and self.hold_days:
                held = {"event_id": f"{row['event_id']}-held", "type": "snoozed"}
                found.rows.append({**row, **held, "value": self.hold_days})

    def _decision(self, mail: ReplyMail) -> str | None:
        """The decision whose mail is answered; of a thread the latest."""
        digests = (name.partition("@")[0] for name in mail.answers)
        return next((self.decisions[one] for one in digests if one in self.decisions), None)

    def _contacts(self, mail: ReplyMail, decision: str | None) -> list[str]:
        """Who says it: by address; where nobody has it, who got the mail that is answered."""
        address = mail.sender if mail.notice is None else mail.about
        if by_address := self.whose.get(address or "", ()):
            return list(by_address)
        asked = None if decision is None else self.contact_of(decision)
        return [] if asked is None else [asked]

    def _label(self, mail: ReplyMail, given: GivenClass) -> str:
        if mail.notice is not None:
            if mail.notice == "complaint":
                return "complaint"
            return "hard_bounce" if is_dead(mail.status or "") else "soft_bounce"
        if not mail.text and given.label != STOP:
            return UNCLEAR
        if mail.is_automatic and given.label != AWAY:  # whatever a program's words look like
            return _AUTOMATIC
        return given.label

    def _cells(self, mail: ReplyMail, label: str, given: GivenClass) -> dict[str, Any] | None:
        """What the event says; None: there is none."""
        if label == _AUTOMATIC:
            return None
        if mail.notice is not None:
            return {"type": label}
        cells: dict[str, Any] = {"type": "reply"}
        if label not in _NO_CLASS:
            cells["reply_class"] = label
        if label == "objection" and given.kind is not None:
            cells["properties"] = {"kind": given.kind}
            if given.kind in self.topics:
                cells["topic"] = self.topics[given.kind]
        if label == AWAY and mail.written_us is not None:
            day = datetime.fromtimestamp(mail.written_us / 1e6, UTC).date()
            until = away_until(f"{mail.subject}\n{mail.text}", day)
            if until is not None:
                cells["properties"] = {"until": until.isoformat()}
        return cells


def _why_read(mail: ReplyMail, label: str, is_known: bool) -> str | None:
    """Why a person has to read a mail; None: nobody has to."""
    if label == _AUTOMATIC:
        return "a program wrote it; it may say that an address or a person is gone"
    if not is_known:
        return "nobody of the recipients has this address, and it answers no mail of the ledger"
    if mail.written_us is None:
        return "it has no date"
    if label == UNCLEAR:
        return "it has no words of its own" if not mail.text else "no class is likely enough"
    return None


def _to_read(
    mail: ReplyMail, label: str, given: GivenClass, why: str, contacts: Sequence[str]
) -> dict[str, Any]:
    return {
        "why": why,
        "label": label,
        "chance": round(given.chance, 3),
        "contacts": list(contacts),
        "from": mail.sender,
        "written_at": None if mail.written_us is None else utc_text(mail.written_us),
        "subject": mail.subject,
        "text": mail.text,
        "message_id": mail.mail_id,
    }
