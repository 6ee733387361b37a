"""Mautic's webhooks: a JSON object of triggers, each with its payloads, signed by HMAC.

Source: Mautic's developer documentation, Webhooks. The signature is over the body alone and has no
time: who posts a request again changes nothing, since an event's id comes from its content.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from nurture_rl.logs.reported.mautic_rows import MAUTIC
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.serving.senders.hmac_signing import digest_of, require_same
from nurture_rl.serving.senders.secret_file import secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned

SIGNATURE = "webhook-signature"


@dataclass(frozen=True, slots=True)
class MauticWebhook(FormattedRows):
    """Reads Mautic's webhooks. Its contacts have the field `nurture_contact_id`, or their address
    is the contact's id."""

    secret: bytes = field(repr=False)
    format: ClassVar[ReportFormat] = MAUTIC

    @classmethod
    def of(cls, key_file: Path) -> MauticWebhook:
        """The adapter for a secret.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        return cls(secret_in(key_file, "the webhook's settings in Mautic"))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; no time is signed."""
        shown = headers.get(SIGNATURE, "")
        if not shown:
            raise NotSigned(f"expected the header {SIGNATURE}; give the webhook a secret")
        require_same(b64encode(digest_of(self.secret, body)).decode(), shown)
