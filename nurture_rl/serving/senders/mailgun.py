"""Mailgun's webhooks: one event each, whose body has a signed time and token.

Source: Mailgun's documentation, Securing webhooks. The signature is over time and token alone, not
over the event: so a token is taken once, or again with the very same body.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import ClassVar

import msgspec

from nurture_rl.logs.reported.mailgun_rows import MAILGUN
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.logs.reported.report_json import UNREADABLE, read_report
from nurture_rl.serving.senders.hmac_signing import digest_of, require_same
from nurture_rl.serving.senders.secret_file import secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned
from nurture_rl.serving.senders.signed_time import require_recent, seconds_of

_HOURS = 9  # it tries again for eight hours
_MOST_TOKENS = 200_000  # that are remembered at once, some 40 MB


class _Signature(msgspec.Struct, frozen=True):
    timestamp: str | int
    token: str
    signature: str


class _Signed(msgspec.Struct, frozen=True):
    signature: _Signature


class TokensSeen:
    """The tokens of requests that were taken, with what their bodies were."""

    def __init__(self, most: int = _MOST_TOKENS) -> None:
        """`most` are remembered; the oldest is forgotten for a new one."""
        self._most = most
        self._bodies: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = Lock()

    def is_another(self, token: str, body: bytes) -> bool:
        """Whether the token came before with another body; remembers it."""
        name = _hash(token.encode("utf-8", "replace"))
        with self._lock:
            seen = self._bodies.setdefault(name, _hash(body))
            while len(self._bodies) > self._most:
                self._bodies.popitem(last=False)
        return seen != _hash(body)


@dataclass(frozen=True, slots=True)
class Mailgun(FormattedRows):
    """Reads Mailgun's webhooks. Mails must carry `contact_id` as a user variable."""

    secret: bytes = field(repr=False)
    seen: TokensSeen = field(default_factory=TokensSeen, repr=False)
    format: ClassVar[ReportFormat] = MAILGUN

    @classmethod
    def of(cls, key_file: Path) -> Mailgun:
        """The adapter for a signing key.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        return cls(secret_in(key_file, "the HTTP webhook signing key in Mailgun's settings"))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; a token that came with another body is refused."""
        try:
            said = read_report(_signed_in, body).signature
        except UNREADABLE as error:
            raise NotSigned(
                "expected an object `signature` with timestamp, token and signature in the body"
            ) from error
        stamp = str(said.timestamp)
        seconds = seconds_of(stamp)
        if seconds is None:
            raise NotSigned("expected seconds since 1970 in `signature.timestamp`")
        content = (stamp + said.token).encode("utf-8", "replace")
        require_same(digest_of(self.secret, content).hex(), said.signature)
        require_recent(seconds * 1_000_000, now_us, _HOURS)
        if self.seen.is_another(said.token, body):
            raise NotSigned("its token came before with another body")


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


_signed_in = msgspec.json.Decoder(_Signed)
