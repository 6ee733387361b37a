"""Requests that wait at the same time are decided together: many rows cost little more than one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Answer
from nurture_rl.serving.service import Ask

Decide = Callable[[Sequence[Ask], int | None], Sequence[Answer]]

_MOST_ROWS = 64  # of one batch; a request that asks for more is decided by itself


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    asks: Sequence[Ask]
    now_us: int | None
    done: Future[Sequence[Answer]] = field(default_factory=Future)

    @property
    def names(self) -> set[str]:
        """What may stand in a batch once: contacts, and the decisions asked for."""
        requests = {f"request {ask.request_id}" for ask in self.asks if ask.request_id}
        return requests | {contact_key(ask.contact_id) for ask in self.asks}


class MicroBatches:
    """Decides for all who wait in one call; nobody waits for company.

    Whoever comes when nobody decides begins at once, with all who wait by then. Those who come
    meanwhile are the next batch, which one of them decides. A row does not depend on the others of
    its batch: an answer is the one that its request would have had alone.
    """

    def __init__(self, decide: Decide) -> None:
        """`decide` gives an answer per ask, and may be called with asks of several requests."""
        self._decide = decide
        self._turn = threading.Lock()  # held by the one who decides
        self._door = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    def decide(self, asks: Sequence[Ask], now_us: int | None = None) -> Sequence[Answer]:
        """The answers to one request, in order.

        Args:
            asks: who, [n].
            now_us: the moment; None reads the clock.

        Raises:
            Exception: what `decide` raises for this request alone.
        """
        if len(asks) > _MOST_ROWS:
            return self._decide(asks, now_us)
        mine = _Waiting(asks, now_us)
        with self._door:
            self._waiting.append(mine)
        with self._turn:
            while not mine.done.done():
                self._decide_together(self._batch())
        return mine.done.result()

    def _batch(self) -> list[_Waiting]:
        """The first who wait, as many as fit together; the others keep their order."""
        with self._door:
            first = self._waiting.popleft()
            batch, names, rows = [first], first.names, len(first.asks)
            others: deque[_Waiting] = deque()
            while self._waiting:
                one = self._waiting.popleft()
                own = one.names
                fits = rows + len(one.asks) <= _MOST_ROWS and one.now_us == first.now_us
                if fits and names.isdisjoint(own):
                    batch.append(one)
                    rows += len(one.asks)
                else:
                    others.append(one)
                names |= own  # a later request about a contact does not overtake this one
            self._waiting = others
        return batch

    def _decide_together(self, batch: Sequence[_Waiting]) -> None:
        try:
            answers = self._decide([ask for one in batch for ask in one.asks], batch[0].now_us)
        except Exception as error:  # of one request; the others must not suffer from it
            if len(batch) == 1:
                batch[0].done.set_exception(error)
            else:
                for one in batch:
                    self._decide_together([one])
            return
        start = 0
        for one in batch:
            one.done.set_result(answers[start : start + len(one.asks)])
            start += len(one.asks)
