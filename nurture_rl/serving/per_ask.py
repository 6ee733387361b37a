"""An answer for every ask of a batch, also where asks repeat each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Answer
from nurture_rl.serving.viewing import Ask


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
        replace(answer, contact_id=ask.contact_id)
        for ask, answer in zip(asks, repeated, strict=True)
    ]
