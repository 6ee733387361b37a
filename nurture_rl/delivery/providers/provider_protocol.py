"""What a provider is: which request carries a mail, and what its answer says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nurture_rl.delivery.mail_bytes import decision_digest
from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer, without_addresses
from nurture_rl.errors import DeliveryError

# A column of the recipients' table: who the contact is at the provider.
SENDER_ID = "sender_id"
MARK = "X-Nurture-Delivery"  # a header by which a mail is found again in an archive


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """What goes to a provider for one mail."""

    path: str  # behind the provider's address
    content: bytes
    headers: Mapping[str, str]
    method: str = "POST"


Look = Callable[[str], HttpReply]  # the 2xx answer to a GET of a path


class Provider(Protocol):
    """Speaks one provider's language. It keeps no state and opens no connection."""

    @property
    def name(self) -> str:
        """As the setting `sender` has it."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether it takes an idempotency key, so that one request sent twice counts once."""
        ...

    def require_message(self, message: str) -> None:
        """Guard that a message of a journey can be sent.

        Raises:
            ConfigError: the provider's template for it is not named.
        """
        ...

    def request(self, mail: RenderedMail, place: str, look: Look | None) -> ProviderRequest:
        """What carries a mail.

        Args:
            mail: what and to whom.
            place: the key of this delivery, the same in every attempt.
            look: asks the provider; None: nobody may be asked, and an unknown id is written ID.

        Raises:
            NotSendable: the provider does not have the contact.
        """
        ...

    def answer(self, reply: HttpReply) -> SendAnswer:
        """What a 2xx answer to that request says."""
        ...


class NotSendable(DeliveryError):
    """A mail that the provider cannot send; the message says why, without addresses."""


def delivery_key(decision_id: str, provider: str, host: str) -> str:
    """The name of a decision's delivery by one provider, which any log or header can hold."""
    plain = "".join(sign if sign.isalnum() else "-" for sign in host)
    return f"nurture-{decision_digest(decision_id)}@{provider.replace('_', '-')}.{plain}"


def mail_data(mail: RenderedMail) -> dict[str, Any]:
    """What a provider's template may use: the whole filled text, its parts, and where it is from.

    `fields` has the merge fields that the approved text asks for, as they are: a template escapes.
    """
    return {
        "decision_id": mail.plan.decision_id,
        "journey": mail.plan.journey,
        "message": mail.plan.message,
        "blocks": list(mail.template.message.blocks),
        "template_digest": mail.template.digest,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "unsubscribe_url": mail.plan.unsubscribe_url or None,
        "fields": dict(mail.fields),
    }


def json_request(path: str, body: Any, headers: Mapping[str, str] | None = None) -> ProviderRequest:
    """A request with a JSON body."""
    said = {"content-type": "application/json", "accept": "application/json", **(headers or {})}
    return ProviderRequest(path, json.dumps(body).encode(), said)


def object_of(reply: HttpReply) -> dict[str, Any] | None:
    """The JSON object of an answer; None: it holds none, as a page of a proxy."""
    try:
        found = json.loads(reply.content)
    except (ValueError, RecursionError):  # brackets in brackets without end are none either
        return None
    return found if isinstance(found, dict) else None


def words_of(reply: HttpReply) -> str:
    """What an answer says of its reason, without addresses."""
    told = object_of(reply) or {}
    errors = told.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else errors
    for said in (told.get("message"), first, told.get("error"), told.get("detail")):
        text = said.get("message") if isinstance(said, dict) else said
        if isinstance(text, str) and text:
            return without_addresses(text)
    return without_addresses(reply.content[:500].decode("utf-8", "replace"))


def no_words(reply: HttpReply) -> SendAnswer:
    """The meaning of a 2xx answer that is not the provider's: a proxy may have made it."""
    return SendAnswer("unknown", f"an answer that is none: {words_of(reply)}", reply.status)
