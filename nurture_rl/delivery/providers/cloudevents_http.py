"""CloudEvents 1.0 by HTTP: the decision's event, in binary or structured mode.

Source: CloudEvents, HTTP Protocol Binding 1.0.2. `source` and `id`, the journey and the decision,
are the idempotency key: whoever takes the events carries out each pair once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import Look, ProviderRequest
from nurture_rl.delivery.recommendation_file import cloud_event, rows_of
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer

_KEPT = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


@dataclass(frozen=True, slots=True)
class CloudEventsHttp:
    """Posts each event by itself to one address."""

    mode: Literal["binary", "structured"]
    name: str = "cloudevents_http"
    repeatable: bool = True

    def require_message(self, message: str) -> None:
        """See `Provider`; an event needs no template of anybody."""

    def request(self, mail: RenderedMail, place: str, look: Look | None) -> ProviderRequest:
        """See `Provider`; it asks nobody."""
        (row,) = rows_of([mail])
        event = cloud_event(row)
        if self.mode == "structured":
            headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
            return ProviderRequest("", _json(event), headers)
        data = event.pop("data")
        headers = {"content-type": event.pop("datacontenttype")}
        # In a header every sign beyond printable ASCII is percent-encoded, and so are " and %.
        headers |= {f"ce-{name}": quote(value, safe=_KEPT) for name, value in event.items()}
        return ProviderRequest("", _json(data), headers)

    def answer(self, reply: HttpReply) -> SendAnswer:
        """See `Provider`; every 2xx is a yes."""
        return SendAnswer("accepted", code=reply.status)


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
