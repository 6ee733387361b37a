"""listmonk: transactional mail, `POST /api/tx`, to a subscriber or to an address.

Source: listmonk's documentation of its API, Transactional. It takes no idempotency key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import (
    MARK,
    SENDER_ID,
    Look,
    NotSendable,
    ProviderRequest,
    json_request,
    mail_data,
    no_words,
    object_of,
)
from nurture_rl.delivery.providers.template_ids import whole_id
from nurture_rl.delivery.recommendation_file import ONE_CLICK
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer

_MOST_DIGITS = 18  # of an id


@dataclass(frozen=True, slots=True)
class Listmonk:
    """A template of listmonk shows `.Tx.Data`, which has the filled text and its parts."""

    templates: Mapping[str, str]  # ids of transactional templates by message
    subscribers: Literal["default", "fallback", "external"]  # its `subscriber_mode`
    author: str | None  # header From; None: listmonk's own
    name: str = "listmonk"
    repeatable: bool = False

    def require_message(self, message: str) -> None:
        """See `Provider`; the id is a number."""
        whole_id(self.templates, message)

    def request(self, mail: RenderedMail, place: str, look: Look | None) -> ProviderRequest:
        """See `Provider`; it asks nobody."""
        body: dict[str, Any] = {
            **self._subscriber(mail),
            "template_id": whole_id(self.templates, mail.plan.message),
            "subject": mail.subject,
            "data": mail_data(mail),
            "headers": [
                {"List-Unsubscribe": mail.plan.list_unsubscribe},
                {"List-Unsubscribe-Post": ONE_CLICK},
                {MARK: place},
            ],
            "content_type": "plain" if mail.html is None else "html",
            "messenger": "email",
        }
        if mail.html is not None:
            body["altbody"] = mail.text
        if self.author is not None:
            body["from_email"] = self.author
        return json_request("/api/tx", body)

    def answer(self, reply: HttpReply) -> SendAnswer:
        """See `Provider`; `{"data": true}` is its yes."""
        told = object_of(reply)
        if told is None or told.get("data") is not True:
            return no_words(reply)
        return SendAnswer("accepted", code=reply.status)

    def _subscriber(self, mail: RenderedMail) -> dict[str, Any]:
        """Who gets it: by id where the recipients' table has one, else by address."""
        if known := mail.recipient.fields.get(SENDER_ID):
            if not (known.isascii() and known.isdigit() and len(known) <= _MOST_DIGITS):
                raise NotSendable(f"expected {SENDER_ID} to be the number of a subscriber")
            return {"subscriber_id": int(known)}
        found: dict[str, Any] = {"subscriber_email": mail.recipient.address}
        if self.subscribers != "default":
            found["subscriber_mode"] = self.subscribers
        return found
