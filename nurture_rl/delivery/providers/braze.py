"""Braze: a campaign to one user, `POST /campaigns/trigger/send` with `recipients`.

Source: Braze's documentation of its REST API, Send campaigns via API-triggered delivery. It takes
no idempotency key. A request with `broadcast: true` and without recipients would mail everybody of
a segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import (
    SENDER_ID,
    Look,
    ProviderRequest,
    json_request,
    mail_data,
    no_words,
    object_of,
    words_of,
)
from nurture_rl.delivery.providers.template_ids import id_of
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer
from nurture_rl.errors import DeliveryError


@dataclass(frozen=True, slots=True)
class Braze:
    """A campaign's text shows `api_trigger_properties`."""

    campaigns: Mapping[str, str]  # ids of API-triggered campaigns by message
    name: str = "braze"
    repeatable: bool = False

    def require_message(self, message: str) -> None:
        """See `Provider`; the id is that of a campaign."""
        id_of(self.campaigns, message)

    def request(self, mail: RenderedMail, place: str, look: Look | None) -> ProviderRequest:
        """See `Provider`; it asks nobody."""
        body = {
            "campaign_id": id_of(self.campaigns, mail.plan.message),
            "broadcast": False,
            "recipients": [
                {
                    "external_user_id": mail.recipient.fields.get(SENDER_ID)
                    or mail.plan.contact_id,
                    "trigger_properties": {**mail_data(mail), "delivery": place},
                    "send_to_existing_only": True,
                }
            ],
        }
        require_one_user(body)
        return json_request("/campaigns/trigger/send", body)

    def answer(self, reply: HttpReply) -> SendAnswer:
        """See `Provider`; `message` says success, and `errors` what was left out."""
        told = object_of(reply)
        if told is None or "message" not in told:
            return no_words(reply)
        if told["message"] == "success" and not told.get("errors"):
            return SendAnswer("accepted", code=reply.status)
        if told["message"] == "success":
            # Parts may have gone: what Braze calls an error here may not have stopped the send.
            return SendAnswer("unknown", words_of(reply), reply.status)
        return SendAnswer("refused", words_of(reply), reply.status)


def require_one_user(body: Mapping[str, Any]) -> None:
    """Guard that a request reaches one named user alone.

    Raises:
        DeliveryError: it is a broadcast, speaks to an audience, or names none or several users.
    """
    users = body.get("recipients")
    named = isinstance(users, list) and len(users) == 1 and bool(users[0].get("external_user_id"))
    if body.get("broadcast") is not False or "audience" in body or not named:
        raise DeliveryError(
            "expected a request to Braze for one named user with broadcast: false, got another: "
            "it might mail everybody of a segment, and was not sent"
        )
