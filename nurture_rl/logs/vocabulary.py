"""The words a log may use: the shipped ones, and those that the journey's signals name."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_envs.journey import Journey
from nurture_rl.logs.schema import EVENT_TYPES, REPLY_CLASSES

# What other programs write where they have no id; none of them may become one person.
NOBODY = frozenset(
    {"", "nan", "none", "null", "(null)", "nil", "na", "n/a", "#n/a", "<na>", "nat", "inf", "-inf"}
    | {"unknown", "undefined", "missing"}
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of the events table that mean something."""

    event_types: frozenset[str] = EVENT_TYPES
    reply_classes: frozenset[str] = REPLY_CLASSES

    def joined(self, other: Vocabulary) -> Vocabulary:
        """The words of both."""
        return Vocabulary(
            self.event_types | other.event_types, self.reply_classes | other.reply_classes
        )


SHIPPED_WORDS = Vocabulary()


def words_of(journey: Journey | None) -> Vocabulary:
    """The shipped words and those of the journey's own signals and guardrails.

    What closes an escalation for salespeople is an event type too.
    """
    if journey is None:
        return SHIPPED_WORDS
    named = (*journey.signals, *journey.guardrails.events)
    sellers = journey.guardrails.seller_capacity
    own_types = {signal.type for signal in named} | set(sellers.closed_by if sellers else ())
    own_replies = {signal.reply_class for signal in named} - {None}
    return Vocabulary(
        EVENT_TYPES | own_types, REPLY_CLASSES | {str(reply) for reply in own_replies}
    )
