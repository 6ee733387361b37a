"""The Event Webhook of Twilio SendGrid: a JSON list of flat rows, signed by ECDSA.

Source: Twilio SendGrid, Getting Started with the Event Webhook Security Features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.logs.reported.report_json import read_report
from nurture_rl.logs.reported.sendgrid_rows import SENDGRID
from nurture_rl.serving.senders.ecdsa_signing import is_signed, public_key
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned
from nurture_rl.serving.senders.signed_time import require_recent, seconds_of

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

_HOURS = 25  # it tries again for a day what was not taken, and may do so with the first signature
_rows_in = msgspec.json.Decoder(list[Any])


@dataclass(frozen=True, slots=True)
class SendGrid(FormattedRows):
    """Reads SendGrid's webhooks. Mails must carry `contact_id` as a custom argument."""

    key: EllipticCurvePublicKey  # the verification key of its signed event webhook
    format: ClassVar[ReportFormat] = SENDGRID

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
        seconds = seconds_of(stamp)
        if seconds is None or not signature:
            raise NotSigned(
                f"expected the headers {SIGNATURE} and {TIMESTAMP}; switch on the signed event "
                "webhook"
            )
        if not is_signed(self.key, signature, stamp.encode() + body):
            raise NotSigned("the signature is not the sender's over this body and time")
        require_recent(seconds * 1_000_000, now_us, _HOURS)

    def rows(self, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
        """See `SenderAdapter`; a list of them."""
        return read_report(_rows_in, body)
