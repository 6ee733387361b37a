"""CloudEvents 1.0 over HTTP: structured, binary and batched, opened by a bearer token.

Source: CloudEvents HTTP protocol binding 1.0; HTTP 1.1 Web Hooks for event delivery 1.0.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from nurture_rl.logs.reported.cloudevents_rows import CLOUDEVENTS
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.logs.reported.report_json import read_report
from nurture_rl.serving.senders.secret_file import secret_in
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned

_ONE, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_ATTRIBUTE = "ce-"
_event_in = msgspec.json.Decoder(dict[str, Any])
_batch_in = msgspec.json.Decoder(list[Any])
_data_in = msgspec.json.Decoder(Any)


@dataclass(frozen=True, slots=True)
class CloudEventsIn(FormattedRows):
    """Reads CloudEvents whose data is a row of `POST /v1/events`."""

    token: bytes = field(repr=False)
    format: ClassVar[ReportFormat] = CLOUDEVENTS

    @classmethod
    def of(cls, key_file: Path) -> CloudEventsIn:
        """The adapter for a token.

        Raises:
            ConfigError: the file holds none, or others can read it.
        """
        return cls(secret_in(key_file, "what posts the events, or make one up"))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; a token is shown, and neither body nor time is signed."""
        kind, _, shown = headers.get("authorization", "").partition(" ")
        own = b"bearer " + self.token
        given = f"{kind.lower()} {shown.strip()}".encode("utf-8", "replace")
        if not hmac.compare_digest(own, given):
            raise NotSigned("expected this server's token for events as Authorization: Bearer")

    def rows(self, headers: Mapping[str, str], body: bytes) -> Sequence[Any]:
        """See `SenderAdapter`; the content type says in which mode they come."""
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media == _BATCH:
            return read_report(_batch_in, body)
        if media == _ONE or "ce-specversion" not in headers:
            return [read_report(_event_in, body)]
        found: dict[str, Any] = {
            name.removeprefix(_ATTRIBUTE): unquote(value)
            for name, value in headers.items()
            if name.startswith(_ATTRIBUTE)
        }
        return [{**found, "data": read_report(_data_in, body)}]
