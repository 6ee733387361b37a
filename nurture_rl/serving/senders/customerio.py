"""Customer.io's reporting webhooks, signed by HMAC over time and body.

Source: Customer.io's documentation, Reporting webhooks, Securely verify requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from nurture_rl.logs.reported.customerio_rows import CUSTOMERIO
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.serving.senders.hmac_signing import digest_of, require_same
from nurture_rl.serving.senders.secret_file import secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned
from nurture_rl.serving.senders.signed_time import require_recent, seconds_of

_SIGNATURE, _TIMESTAMP = "x-cio-signature", "x-cio-timestamp"
_HOURS = 8 * 24  # it tries again for a week what was not taken


@dataclass(frozen=True, slots=True)
class CustomerIo(FormattedRows):
    """Reads Customer.io's reporting webhooks. Its people's ids are those of the contacts."""

    secret: bytes = field(repr=False)
    format: ClassVar[ReportFormat] = CUSTOMERIO

    @classmethod
    def of(cls, key_file: Path) -> CustomerIo:
        """The adapter for a signing key.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        return cls(secret_in(key_file, "the reporting webhook's settings in Customer.io"))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; what it tries again within a week is taken."""
        stamp, shown = headers.get(_TIMESTAMP, ""), headers.get(_SIGNATURE, "")
        seconds = seconds_of(stamp)
        if seconds is None or not shown:
            raise NotSigned(f"expected the headers {_SIGNATURE} and {_TIMESTAMP}")
        content = b"v0:" + stamp.encode() + b":" + body
        require_same(digest_of(self.secret, content).hex(), shown)
        require_recent(seconds * 1_000_000, now_us, _HOURS)
