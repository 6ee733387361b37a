"""Dittofeed: an event that starts a journey's message, `POST /api/public/apps/track`.

Source: Dittofeed's documentation of its public API. `messageId` is an idempotency key: an event
that comes again under it is the same event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import (
    SENDER_ID,
    Look,
    ProviderRequest,
    json_request,
    mail_data,
    no_words,
    object_of,
)
from nurture_rl.delivery.providers.template_ids import id_of
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer


@dataclass(frozen=True, slots=True)
class Dittofeed:
    """A journey of Dittofeed waits for the event and sends; its text shows the properties."""

    events: Mapping[str, str]  # names of events by message
    name: str = "dittofeed"
    repeatable: bool = True

    def require_message(self, message: str) -> None:
        """See `Provider`; the id is the name of an event."""
        id_of(self.events, message)

    def request(self, mail: RenderedMail, place: str, look: Look | None) -> ProviderRequest:
        """See `Provider`; it asks nobody."""
        body = {
            "messageId": place,
            "userId": mail.recipient.fields.get(SENDER_ID) or mail.plan.contact_id,
            "event": id_of(self.events, mail.plan.message),
            "properties": mail_data(mail),
        }
        return json_request("/api/public/apps/track", body)

    def answer(self, reply: HttpReply) -> SendAnswer:
        """See `Provider`; 204 without words is its yes: words are those of somebody between."""
        if reply.content.strip() and object_of(reply) is None:
            return no_words(reply)
        return SendAnswer("accepted", code=reply.status)
