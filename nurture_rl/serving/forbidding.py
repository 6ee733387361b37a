"""Which events may forbid mail, so that none of them is ever refused in silence."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_envs.journey import Journey
from nurture_envs.stops import FORBIDDING_TYPES, STOPPING_REPLIES

# Their sends fill caps, their calls and their answers begin conversations.
_ALWAYS = FORBIDDING_TYPES | {"reply", "sent", "escalated"}


@dataclass(frozen=True, slots=True)
class Forbidding:
    """The events after which a journey sends less than before."""

    types: frozenset[str] = _ALWAYS

    @classmethod
    def of(cls, journey: Journey) -> Forbidding:
        """What stops mail in every journey, and what the guardrails of this one read."""
        settings = journey.guardrails
        names = {*settings.opt_out, *settings.hard_bounce}
        names |= {name for name, _ in settings.conversation}
        read = {signal.type for signal in journey.signals if signal.name in names}
        return cls(_ALWAYS | read)

    def may(self, kind: str | None, reply_class: str | None) -> bool:
        """Whether an event of this type and reply class may forbid mail."""
        return kind in self.types or reply_class in STOPPING_REPLIES
