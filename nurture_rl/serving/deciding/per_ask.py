"""Which asks of a batch need a decision; an answer for each, also where asks repeat each other."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Answer, Decision, Refusal


def named_in(asks: Sequence[Ask]) -> list[str]:
    """Whom and what nobody else may decide meanwhile: contacts, and the ids of requests.

    Two servers may be asked for two contacts under one id, or under many in another order.
    """
    names = [ask.contact_id for ask in asks]
    return names + [ask.request_id for ask in asks if ask.request_id]


def answer_per_ask(asks: Sequence[Ask], answers: Sequence[Answer | None]) -> list[Answer]:
    """Within a batch, asks with one request id get one answer.

    Every answer spells its contact id as the ask does.

    Args:
        asks: who, [n].
        answers: to each; None where another ask of the same request id has it.
    """
    given = {
        (contact_key(ask.contact_id), ask.request_id): answer
        for ask, answer in zip(asks, answers, strict=True)
        if answer is not None
    }
    repeated = [
        given[contact_key(ask.contact_id), ask.request_id] if answer is None else answer
        for ask, answer in zip(asks, answers, strict=True)
    ]
    return [
        answer
        if answer.contact_id == ask.contact_id
        else replace(answer, contact_id=ask.contact_id)
        for ask, answer in zip(asks, repeated, strict=True)
    ]


def sort_asks(
    asks: Sequence[Ask],
    answers: list[Answer | None],
    stored: Mapping[str, Decision],
    exist: Container[str],
) -> tuple[list[int], dict[int, Decision]]:
    """Answer what needs no decision.

    Args:
        asks: who, [n].
        answers: to each, filled in where no decision is needed, [n].
        stored: decisions of these request ids that exist.
        exist: keys of contacts that are known.

    Returns:
        The positions that need one, one per contact, and the decisions asked for again.
    """
    pending: list[int] = []
    again: dict[int, Decision] = {}
    decided: dict[str, str | None] = {}  # contact -> request id of its ask in this batch
    taken: dict[str | None, str] = {}  # request id -> contact
    for i, ask in enumerate(asks):
        contact, request = contact_key(ask.contact_id), ask.request_id
        before = stored.get(request) if request else None
        owner = before.contact_id if before else taken.get(request, contact)
        if contact not in exist:
            text = f"no contact {ask.contact_id!r} is known"
            answers[i] = Refusal(contact, "unknown_contact", text)
        elif owner != contact:
            text = f"request_id {request!r} belongs to another contact's decision"
            answers[i] = Refusal(contact, "request_id_taken", text)
        elif before is not None:
            again[i] = before
        elif contact not in decided:
            decided[contact] = request
            if request is not None:
                taken[request] = contact
            pending.append(i)
        elif request is None or decided[contact] != request:
            text = "this request asks for the contact twice; one decision is made per bin"
            answers[i] = Refusal(contact, "already_decided", text)
    return pending, again
