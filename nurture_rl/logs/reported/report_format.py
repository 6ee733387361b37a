"""The contract of a format: what a row of somebody's report says in our words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nurture_rl.errors import NurtureError

Row = dict[str, Any]

# Custom arguments that a mail carries, and that its sender gives back with every event.
CONTACT, DECISION, TOPIC = "contact_id", "decision_id", "topic"


class UntranslatedRow(NurtureError):
    """A row that has no event in our words; the message says why."""

    def __init__(self, reason: str, may_forbid_mail: bool = True) -> None:
        """`may_forbid_mail` is False only where the row clearly does not."""
        super().__init__(reason)
        self.may_forbid_mail = may_forbid_mail


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An event that somebody reports."""

    cells: Row  # as a row of `POST /v1/events` has them; without `contact_id` where none is named
    recipient: str | None = None  # the address, which may be a contact's id
    keys: tuple[str, ...] = ()  # "kind:value" that name the contact beside its id


@dataclass(frozen=True, slots=True)
class ReportedContact:
    """What a row says of a contact."""

    cells: Row  # of the contacts table; without `contact_id` where none is named
    keys: tuple[str, ...] = ()  # "kind:value" that name the contact beside its id


def as_it_is(value: Row) -> list[Any]:
    """The rows of an object that is one row itself."""
    return [value]


def no_contacts(_: Row) -> list[ReportedContact]:
    """What a row says of contacts in formats that tell of events alone."""
    return []


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """How the rows of one sender, CRM or page stream are read. All functions are pure."""

    name: str  # the source of its events, and what a mapping calls it
    # What a row says. Cells that cannot be read stay as they are: whoever stores the event refuses
    # them or, where it forbids mail, mends them. Ids are the sender's own, so that a row that
    # comes again is the same event. Raises `UntranslatedRow`.
    events: Callable[[Row], list[ReportedEvent]]
    # The rows inside of one object: it may be an envelope. Raises `UntranslatedRow`.
    unwrap: Callable[[Row], list[Any]] = as_it_is
    contacts: Callable[[Row], list[ReportedContact]] = no_contacts
    # Whether `message_id` names one mail: two `sent` events of a contact with it are one mail.
    names_mails: bool = True
    # Whether its events are a history of stages, of which each contact has one timeline; and the
    # stages in their order where a timeline only moves forward.
    is_timeline: bool = False
    stages: tuple[str, ...] = ()
