"""HubSpot's webhooks: a JSON list of changes, signed by HMAC over method, address, body and time.

Source: HubSpot's developer documentation, Validating requests, version 3 of the signature.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.hubspot_changes import HUBSPOT
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.logs.reported.report_json import read_report
from nurture_rl.serving.senders.hmac_signing import digest_of, require_same
from nurture_rl.serving.senders.secret_file import require_long, secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned
from nurture_rl.serving.senders.signed_time import require_recent, seconds_of

_SIGNATURE, _TIMESTAMP = "x-hubspot-signature-v3", "x-hubspot-request-timestamp"
_HOURS = 1  # what it tries again is signed anew; what somebody posts again changes nothing
_rows_in = msgspec.json.Decoder(list[Any])


@dataclass(frozen=True, slots=True)
class HubSpot(FormattedRows):
    """Reads HubSpot's webhooks. Its ids of contacts are those of ours."""

    secret: bytes = field(repr=False)  # of the app
    address: bytes  # where HubSpot posts to, as it is written there
    format: ClassVar[ReportFormat] = HUBSPOT

    @classmethod
    def of(cls, key_file: Path) -> HubSpot:
        """The adapter for a file `SECRET@ADDRESS`.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        text = secret_in(
            key_file, "the app's settings in HubSpot, then @ and the webhook's address"
        )
        secret, _, address = text.partition(b"@")
        form = "SECRET@https://HOST/v1/webhooks/hubspot"
        if not address.startswith(b"https://"):
            raise ConfigError(f"expected {form} at {key_file}")
        require_long(secret, key_file, form)
        return cls(secret, address)

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; the address is the one that was set up, whatever was asked for."""
        stamp, shown = headers.get(_TIMESTAMP, ""), headers.get(_SIGNATURE, "")
        seconds = seconds_of(stamp[:-3])  # of milliseconds
        if seconds is None or not stamp.isdecimal() or not shown:
            raise NotSigned(f"expected the headers {_SIGNATURE} and {_TIMESTAMP}")
        content = b"POST" + self.address + body + stamp.encode()
        require_same(b64encode(digest_of(self.secret, content)).decode(), shown)
        require_recent(seconds * 1_000_000, now_us, _HOURS)

    def rows(self, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
        """See `SenderAdapter`; a list of them."""
        return read_report(_rows_in, body)
