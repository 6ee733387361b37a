"""The contract of an adapter: who signed a request, and which rows it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from nurture_rl.errors import NurtureError
from nurture_rl.logs.reported.report_format import ReportedEvent, ReportFormat, Row
from nurture_rl.logs.reported.report_json import read_report


class NotSigned(NurtureError):
    """A request is not what the sender signed, or was signed too long ago."""


class CannotCheck(NurtureError):
    """Whether a request is signed cannot be told now: the sender shall try again."""


class SenderAdapter(Protocol):
    """Reads the webhooks of one sender. It asks no store."""

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
            CannotCheck: that cannot be told now.
        """
        ...

    def rows(self, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
        """The rows of a signed body, not yet looked at.

        Raises:
            msgspec.DecodeError: it is no JSON.
            NurtureError: it is not of the sender's form.
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


class FormattedRows:
    """The rows and events of an adapter whose bodies are JSON objects of a known format."""

    __slots__ = ()
    format: ClassVar[ReportFormat]

    @property
    def name(self) -> str:
        """See `SenderAdapter`."""
        return self.format.name

    def rows(self, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
        """See `SenderAdapter`; an object is a row, or has rows inside."""
        return self.format.unwrap(read_report(_object_in, body))

    def events(self, row: Row) -> list[ReportedEvent]:
        """See `SenderAdapter`."""
        return self.format.events(row)


_object_in = msgspec.json.Decoder(dict[str, Any])
