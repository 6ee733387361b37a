"""The contract of an adapter: who signed a request, and what each of its rows says in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nurture_rl.errors import NurtureError

Row = dict[str, Any]

# Custom arguments that a mail carries, and that its sender gives back with every event.
CONTACT, DECISION, TOPIC = "contact_id", "decision_id", "topic"


class NotSigned(NurtureError):
    """A request is not what the sender signed, or was signed too long ago."""


class UntranslatedRow(NurtureError):
    """A row that has no event in our words; the message says why."""

    def __init__(self, reason: str, may_forbid_mail: bool = True) -> None:
        """`may_forbid_mail` is False only where the row clearly does not."""
        super().__init__(reason)
        self.may_forbid_mail = may_forbid_mail


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An event that a sender reports."""

    cells: Row  # as a row of `POST /v1/events` has them; without `contact_id` where none is named
    recipient: str | None = None  # the address, which may be a contact's id


class SenderAdapter(Protocol):
    """Reads the webhooks of one sender. It keeps no state and asks no store."""

    @property
    def name(self) -> str:
        """Of the sender: the end of the path, and the source of its events."""
        ...

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """Refuse what the sender did not sign.

        Args:
            headers: of the request, by names in small letters.
            body: exactly as it came.
            now_us: the moment, microseconds since 1970 UTC.

        Raises:
            NotSigned: it was not signed, by another key, or too long ago.
        """
        ...

    def rows(self, body: bytes) -> Sequence[Any]:
        """The rows of a signed body, not yet looked at.

        Raises:
            msgspec.DecodeError: it is no JSON, or not of the sender's form.
        """
        ...

    def events(self, row: Row) -> list[ReportedEvent]:
        """What a row says: a pure function.

        Cells that cannot be read stay as they are: whoever stores the event refuses them or, where
        it forbids mail, mends them. The ids of events are those of the sender, so that a row which
        is sent again is the same event.

        Raises:
            UntranslatedRow: it says nothing that we have a word for.
        """
        ...
