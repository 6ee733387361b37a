"""How many sends of offers with an inventory are left: one count for all contacts together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from nurture_envs.journey import Journey
from nurture_rl.serving.records import Answer, ContactView, Decision
from nurture_rl.serving.storage.reading import message_of
from nurture_rl.serving.storage.store import Store

Decide = Callable[[Sequence[ContactView], Mapping[str, int]], list[Answer]]


class Stock:
    """Counts down the inventories of a journey's offers; first come, first served.

    A chosen send takes its piece. One that could not be stored, or was withdrawn before it can have
    left, gives it back, and takes it again where it went all the same; any other keeps it, so that
    no race and no retry hands out more than there is.
    """

    def __init__(self, journey: Journey, store: Store) -> None:
        """Begin with what the store says is left."""
        self._offer_of = limited_offers(journey)
        self._left = {o.name: o.inventory for o in journey.offers if o.inventory is not None}
        for message, times in store.sent_messages(journey.name, self._offer_of).items():
            self._take(message, times)
        self._lock = threading.Lock()

    def shared(self, views: Sequence[ContactView], decide: Decide) -> list[Answer]:
        """Decide for contacts, never beyond what is left.

        While an offer could run out among them they are decided one after the other.

        Args:
            views: the contacts, [n].
            decide: an answer per contact, given the sends left by the name of the offer.
        """
        if not self._left:
            return decide(views, self._left)
        with self._lock:
            scarce = any(0 < left < len(views) for left in self._left.values())
            answers: list[Answer] = []
            for some in [[view] for view in views] if scarce else [views]:
                made = decide(some, dict(self._left))
                answers += made
                self._count(made, 1)
            return answers

    def give_back(self, answers: Sequence[Answer]) -> None:
        """Undo what was taken for answers of `shared`, once for each."""
        if self._left:
            with self._lock:
                self._count(answers, -1)

    def take_again(self, decisions: Sequence[Decision]) -> None:
        """Take what was given back for sends that went all the same, once for each."""
        if self._left:
            with self._lock:
                self._count(decisions, 1)

    def _count(self, answers: Sequence[Answer], times: int) -> None:
        for answer in answers:
            if isinstance(answer, Decision):
                self._take(message_of(answer.action), times)

    def _take(self, message: str | None, times: int) -> None:
        offer = self._offer_of.get(message or "", "")
        if offer in self._left:
            self._left[offer] -= times


def limited_offers(journey: Journey) -> dict[str, str]:
    """The offer of each message whose offer has an inventory."""
    limited = {offer.name for offer in journey.offers if offer.inventory is not None}
    return {m.id: m.offer for m in journey.messages if m.offer in limited}
