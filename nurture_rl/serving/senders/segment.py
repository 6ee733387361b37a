"""Calls of Segment, or of RudderStack, signed by HMAC over the body.

Source: Segment's documentation, Webhooks destination, Authenticating requests. The signature has no
time: who posts a request again changes nothing, since every call has an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from nurture_rl.logs.reported.report_format import (
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.segment_rows import SEGMENT
from nurture_rl.serving.senders.hmac_signing import digest_of, require_same
from nurture_rl.serving.senders.secret_file import secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned

_SIGNATURE = "x-signature"


@dataclass(frozen=True, slots=True)
class Segment(FormattedRows):
    """Reads calls of the Segment specification. Its user ids are those of the contacts."""

    secret: bytes = field(repr=False)
    format: ClassVar[ReportFormat] = SEGMENT

    @classmethod
    def of(cls, key_file: Path) -> Segment:
        """The adapter for a shared secret.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        return cls(secret_in(key_file, "the webhook destination's settings"))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; no time is signed."""
        shown = headers.get(_SIGNATURE, "")
        if not shown:
            raise NotSigned(f"expected the header {_SIGNATURE}; give the destination a secret")
        require_same(digest_of(self.secret, body, "sha1").hex(), shown)

    def events(self, row: Row) -> list[ReportedEvent]:
        """See `SenderAdapter`; who somebody is must be put as a contact."""
        found = self.format.events(row)
        if not found:
            text = f"{str(row.get('type'))[:50]!r} says who somebody is; put contacts by PUT "
            raise UntranslatedRow(f"{text}/v1/contacts", may_forbid_mail=False)
        return found
