"""Requests that wait at the same time are decided together: many rows cost little more than one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import uuid4

from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.traffic import Places
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Answer

Result = TypeVar("Result")
Decide = Callable[[Sequence[Ask], int | None], Sequence[Answer]]

_MOST_ROWS = 64  # of one batch, unless one request alone asks for more


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    asks: Sequence[Ask]
    now_us: int | None
    answers: asyncio.Future[Sequence[Answer]]

    @property
    def names(self) -> set[str]:
        """What may stand in a batch once: contacts, and the decisions asked for."""
        requests = {f"request {ask.request_id}" for ask in self.asks if ask.request_id}
        return requests | {contact_key(ask.contact_id) for ask in self.asks}

    def named(self) -> _Waiting:
        """The same with an id for every decision, so that asking twice decides once."""
        asks = [
            ask if ask.request_id else replace(ask, request_id=str(uuid4())) for ask in self.asks
        ]
        return replace(self, asks=asks)


class MicroBatches:
    """Decides for all who wait in one call; nobody waits for company. Belongs to one event loop.

    Whoever comes when nothing is decided begins at once. Those who come meanwhile are the next
    batch. A row does not depend on the others of its batch: an answer is the one that its request
    would have had alone.
    """

    def __init__(self, decide: Decide, most: int) -> None:
        """Start the thread that decides.

        Args:
            decide: gives an answer per ask; may be called with asks of several requests.
            most: requests inside at once, >= 1.
        """
        self._decide = decide
        self._places = Places(most)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decide")
        self._waiting: deque[_Waiting] = deque()
        self._deciding = False

    async def run(
        self, steps: Generator[tuple[Sequence[Ask], int | None], Sequence[Answer], Result]
    ) -> Result:
        """Give a request the answers that it asks for, until it has its result.

        Args:
            steps: yields asks and their moment (None: the clock's), and is sent the answers, or
                what deciding for it alone raised.

        Raises:
            Busy: as many as there may be are inside.
        """
        with self._places.taken(), closing(steps):
            try:
                asks, now_us = next(steps)
                while True:
                    try:
                        answers = await self._answers(asks, now_us)
                    except Exception as error:
                        asks, now_us = steps.throw(error)
                    else:
                        asks, now_us = steps.send(answers)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def _answers(self, asks: Sequence[Ask], now_us: int | None) -> Sequence[Answer]:
        mine = _Waiting(asks, now_us, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if not self._deciding:
            self._begin()
        return await mine.answers

    def _begin(self) -> None:
        batch, self._deciding = self._batch(), True
        if len(batch) > 1:
            batch = [one.named() for one in batch]
        deciding = asyncio.get_running_loop().run_in_executor(self._pool, self._outcomes, batch)
        deciding.add_done_callback(lambda done: self._finish(batch, done.result()))

    def _finish(
        self, batch: Sequence[_Waiting], outcomes: Sequence[Sequence[Answer] | Exception]
    ) -> None:
        for one, outcome in zip(batch, outcomes, strict=True):
            if one.answers.done():  # its client has gone
                continue
            if isinstance(outcome, Exception):
                one.answers.set_exception(outcome)
            else:
                one.answers.set_result(outcome)
        self._deciding = False
        if any(not one.answers.done() for one in self._waiting):
            self._begin()
        else:
            self._waiting.clear()

    def _batch(self) -> list[_Waiting]:
        """The first who wait, as many as fit together; the others keep their order."""
        first, *rest = (one for one in self._waiting if not one.answers.done())
        batch, names, rows = [first], first.names, len(first.asks)
        others: deque[_Waiting] = deque()
        for one in rest:
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

    def _outcomes(self, batch: Sequence[_Waiting]) -> list[Sequence[Answer] | Exception]:
        """Answers to each request, or what went wrong with it alone.

        A batch that went wrong may have decided for some, whose answers are asked for again.
        """
        try:
            answers = self._decide([ask for one in batch for ask in one.asks], batch[0].now_us)
        except Exception as error:
            return [error] if len(batch) == 1 else [self._outcomes([one])[0] for one in batch]
        ends = [sum(len(one.asks) for one in batch[: i + 1]) for i in range(len(batch))]
        return [answers[end - len(one.asks) : end] for end, one in zip(ends, batch, strict=True)]
