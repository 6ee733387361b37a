"""Postmark's webhooks: one JSON object each, with name and password of HTTP Basic.

Source: Postmark's developer documentation, Webhooks overview: it signs nothing.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.postmark_rows import POSTMARK
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.serving.senders.secret_file import require_long, secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned


@dataclass(frozen=True, slots=True)
class Postmark(FormattedRows):
    """Reads Postmark's webhooks. Mails must carry `contact_id` as metadata."""

    login: bytes = field(repr=False)  # name:password
    format: ClassVar[ReportFormat] = POSTMARK

    @classmethod
    def of(cls, key_file: Path) -> Postmark:
        """The adapter for a name and a password.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        login = secret_in(key_file, "the webhook's address, https://NAME:PASSWORD@HOST/...")
        name, _, password = login.partition(b":")
        if not name:
            raise ConfigError(f"expected NAME:PASSWORD at {key_file}")
        require_long(password, key_file, "NAME:PASSWORD")
        return cls(login)

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; it shows a password and signs neither body nor time."""
        own = b"basic " + b64encode(self.login)
        kind, _, shown = headers.get("authorization", "").partition(" ")
        given = f"{kind.lower()} {shown.strip()}".encode("utf-8", "replace")
        if not hmac.compare_digest(own, given):
            raise NotSigned("expected the name and password of this webhook by HTTP Basic")
