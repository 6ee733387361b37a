"""The words of a journey's events, and which of them may forbid mail: none is silently dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from nurture_envs.journey import Journey
from nurture_envs.stops import AWAY_REPLY, FORBIDDING_TYPES, forbids, plain, say_of
from nurture_rl.logs.vocabulary import SHIPPED_WORDS, Vocabulary, words_of

# Sends count towards caps; calls and replies begin conversations; soft bounces rest an address.
_ALWAYS = FORBIDDING_TYPES | {"reply", "sent", "escalated", "soft_bounce"}


@dataclass(frozen=True, slots=True)
class Forbidding:
    """The events after which a journey sends less than before."""

    types: frozenset[str] = _ALWAYS
    words: Vocabulary = SHIPPED_WORDS  # all known event types and reply classes

    @classmethod
    def of(cls, journey: Journey) -> Forbidding:
        """What stops mail in every journey, what guardrails of this one read, and what ends it."""
        settings, words = journey.guardrails, words_of(journey)
        names = {*settings.opt_out, *settings.hard_bounce, *journey.terminals}
        names |= set(settings.talks)
        names |= {name for visit in settings.cool_off for name in visit.after}
        names |= {settings.slow.signal} if settings.slow is not None else set()
        named = (*journey.signals, *settings.events)
        read = {signal.type for signal in named if signal.name in names}
        own = {kind for kind in words.event_types if forbids(say_of(kind, None))}
        return cls(_ALWAYS | read | own, words)

    @classmethod
    def of_all(cls, journeys: Sequence[Journey]) -> Forbidding:
        """What stops mail in one of several journeys, and the words of all of them."""
        found = [cls.of(journey) for journey in journeys]
        types = frozenset(name for one in found for name in one.types)
        return cls(types, reduce(Vocabulary.joined, [one.words for one in found]))

    def may(self, kind: str | None, reply_class: str | None) -> bool:
        """Whether an event of this type and reply class may forbid mail."""
        away = plain(reply_class or "") == AWAY_REPLY
        return away or kind in self.types or forbids(say_of(kind or "", reply_class))
