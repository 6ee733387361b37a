"""Mautic: an email of its own to one contact, `POST /api/emails/ID/contact/ID/send` with tokens.

Source: Mautic's developer documentation, REST API, Emails and Contacts. It takes no idempotency
key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import (
    SENDER_ID,
    Look,
    NotSendable,
    ProviderRequest,
    json_request,
    no_words,
    object_of,
)
from nurture_rl.delivery.providers.template_ids import whole_id
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer, without_addresses

_UNKNOWN = "ID"  # in a dry run, which asks nobody


@dataclass(frozen=True, slots=True)
class Mautic:
    """An email of Mautic has places such as `{nurture_html}`, which the tokens fill."""

    emails: Mapping[str, str]  # ids of Mautic's emails by message
    name: str = "mautic"
    repeatable: bool = False

    def require_message(self, message: str) -> None:
        """See `Provider`; the id is a number."""
        whole_id(self.emails, message)

    def request(self, mail: RenderedMail, place: str, look: Look | None) -> ProviderRequest:
        """See `Provider`; it asks for the contact of the address unless the table has its id."""
        email = whole_id(self.emails, mail.plan.message)
        contact = _contact(mail, look)
        return json_request(f"/api/emails/{email}/contact/{contact}/send", _tokens(mail, place))

    def answer(self, reply: HttpReply) -> SendAnswer:
        """See `Provider`; `success` says yes unless `failed` names what went wrong."""
        told = object_of(reply)
        if told is None or "success" not in told:
            return no_words(reply)
        if told["success"] and not told.get("failed"):
            return SendAnswer("accepted", code=reply.status)
        why = without_addresses(str(told.get("failed") or "it says no success"))
        return SendAnswer("refused", why, reply.status)


def _tokens(mail: RenderedMail, place: str) -> dict[str, dict[str, str]]:
    """Values for the places of an email, which is HTML."""
    page = escape(mail.text).replace("\n", "<br>\n") if mail.html is None else mail.html
    whole = {
        "subject": mail.subject,
        "html": page,
        "text": mail.text,
        "unsubscribe_url": mail.plan.unsubscribe_url,
        "delivery": place,
        "decision_id": mail.plan.decision_id,  # Mautic's webhook tells both again
        "contact_id": mail.plan.contact_id,
    }
    parts = {f"field_{name.replace('.', '_')}": escape(v) for name, v in mail.fields.items()}
    return {"tokens": {f"{{nurture_{name}}}": value for name, value in {**parts, **whole}.items()}}


def _contact(mail: RenderedMail, look: Look | None) -> str:
    """Mautic's id of the contact.

    Raises:
        NotSendable: it has none, or several, for the address.
    """
    known = mail.recipient.fields.get(SENDER_ID) or (_UNKNOWN if look is None else None)
    if known is None and look is not None:
        address = mail.recipient.address
        where = {"col": "email", "expr": "eq", "val": address}
        asked = {f"where[0][{key}]": value for key, value in where.items()} | {"limit": "2"}
        told = object_of(look(f"/api/contacts?{urlencode(asked)}")) or {}
        # An empty list where there is none, else an object by ids. A Mautic that does not know the
        # question answers with anybody: only who has the address is meant.
        all_found = told.get("contacts") or {}
        of_them = all_found.items() if isinstance(all_found, dict) else ()
        found = [name for name, one in of_them if _email_of(one) == address.lower()]
        if len(found) != 1:
            raise NotSendable(
                f"expected one contact of the address in Mautic, got {len(found)}; add it there, "
                f"or name its id in the column {SENDER_ID}"
            )
        known = found[0]
    if known != _UNKNOWN and not (str(known).isascii() and str(known).isdigit()):
        raise NotSendable(f"expected {SENDER_ID} to be the number of a contact in Mautic")
    return quote(str(known), safe="")


def _email_of(contact: Any) -> str | None:
    """The address in Mautic's answer about a contact, in small letters; None: it has none."""
    fields = contact.get("fields") if isinstance(contact, dict) else None
    told = fields.get("all") if isinstance(fields, dict) else None
    email = told.get("email") if isinstance(told, dict) else None
    return email.strip().lower() if isinstance(email, str) else None
