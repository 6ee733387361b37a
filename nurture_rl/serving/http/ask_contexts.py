"""What a request for decisions says of its contacts: put before it is decided."""

from __future__ import annotations

from dataclasses import replace

from nurture_rl.errors import NurtureError
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import wire
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact, Withdrawal

CONTEXT = b'"context"'  # in the body of every request that may bring one


class ContextForbidden(NurtureError):
    """A request brings contexts, and its key does not put contacts."""


def put_contexts(
    service: Service, request: wire.DecisionsIn, may_put: bool | None
) -> list[Withdrawal]:
    """Put the contacts whose context differs from what is stored; on disk when this returns.

    Args:
        service: of a store.
        request: asks with or without contexts.
        may_put: whether the key of the request puts contacts; None: `CONTEXT` is not in its body,
            so nobody asked.

    Returns:
        The planned sends that this takes back.

    Raises:
        RequestError: a context cannot be meant.
        ContextForbidden: the key does not put contacts.
    """
    contacts = _contexts_of(request)
    if not contacts:
        return []
    if may_put is None:
        raise wire.RequestError("expected `context` written so, without signs like \\u0063")
    if not may_put:
        raise ContextForbidden(
            "expected a key of the scope contacts too, for a `context` puts its contact; nothing "
            "was done"
        )
    stored = service.store.contacts([contact.contact_id for contact in contacts])
    fresh = [one for one in contacts if not _is(stored.get(contact_key(one.contact_id)), one)]
    return service.put_contacts(fresh) if fresh else []


def _contexts_of(request: wire.DecisionsIn) -> list[Contact]:
    """The contacts of whom a request brings the context.

    Raises:
        RequestError: as `wire.contacts_of`, or a contact has two contexts.
    """
    found: dict[str, Contact] = {}
    for i, ask in enumerate(request.contacts):
        if ask.context is None:
            continue
        contact = wire.contact_of(ask.contact_id, ask.context, f"$.contacts[{i}]", ".context")
        if found.setdefault(contact_key(ask.contact_id), contact) != contact:
            raise wire.RequestError(
                f"expected one context of contact {ask.contact_id!r}, got two - at "
                f"`$.contacts[{i}].context`"
            )
    return list(found.values())


def _is(stored: Contact | None, contact: Contact) -> bool:
    """Whether a stored contact is as a request says, whatever the spelling of its id."""
    if stored is None:
        return False
    return replace(stored, contact_id=contact.contact_id, spelling=contact.spelling) == contact
