"""What happens to a server: requests in any order, clocks that jump, restarts. One seed, one story.

The story does not depend on the answers, so that any part of it can be played again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.fuzzing.promise import Meaning
from tools.fuzzing.rows import (
    DAY_US,
    HOUR_US,
    Person,
    broken_row,
    contact_row,
    event_row,
    new_person,
)
from tools.fuzzing.servers import START_US

NOBODY = -1  # a row about no person
_LIVE, _GONE, _RECENT = 80, 300, 300
_BUNDLES = 3
_MINUTE_US = 60_000_000
# Mostly the day goes on; clocks are also set back by an hour or a week, and ahead by weeks.
_JUMPS_US = (
    *(5 * _MINUTE_US, HOUR_US, 3 * HOUR_US, 3 * HOUR_US, 5 * HOUR_US, 8 * HOUR_US, 8 * HOUR_US),
    *(13 * HOUR_US, DAY_US, DAY_US, -HOUR_US, -_MINUTE_US),
)
_RARE_JUMPS_US = (-7 * DAY_US, 21 * DAY_US, -26 * HOUR_US, 90 * DAY_US)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A request at a moment; without a path a restart with a bundle."""

    clock_us: int
    method: str = ""
    path: str = ""
    body: bytes = b""
    people: tuple[int, ...] = ()  # whom each row is about
    meanings: tuple[Meaning, ...] = ()  # of each row of events
    bundle: int = 0

    @property
    def size(self) -> int:
        """Operations in it."""
        return max(1, len(self.people))

    def of(self, person: int) -> Step | None:
        """The same step with this person's rows alone; None where there are none."""
        if not self.path:
            return self
        kept = [i for i, found in enumerate(self.people) if found == person]
        if not kept:
            return None
        ((key, rows),) = json.loads(self.body).items()
        return Step(
            self.clock_us,
            self.method,
            self.path,
            json.dumps({key: [rows[i] for i in kept]}).encode(),
            tuple(self.people[i] for i in kept),
            tuple(self.meanings[i] for i in kept) if self.meanings else (),
        )


class Story:
    """An endless run of steps."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._clock_us = START_US
        self._number = 0  # of ids made up so far
        self._people = 0
        self._live: list[Person] = []
        self._gone: list[Person] = []
        self._recent: list[tuple[Row, int, Meaning]] = []  # rows of events sent before
        self._asked: list[tuple[str, int]] = []  # request ids and whom they were made for

    def steps(self) -> Iterator[Step]:
        """One step after another."""
        yield self._put([self._born() for _ in range(_LIVE)])
        kinds: list[Callable[[], Step]] = [self._decide, self._report, self._contacts]
        kinds.append(self._confirm)
        while True:
            draw = self._rng.random()
            if draw < 0.30:
                rare = self._rng.random() < 0.03
                self._clock_us += self._rng.choice(_RARE_JUMPS_US if rare else _JUMPS_US)
                self._clock_us = max(START_US, self._clock_us)
            elif draw < 0.305:
                yield Step(self._clock_us, bundle=self._rng.randrange(_BUNDLES))
            else:
                (make,) = self._rng.choices(kinds, [0.46, 0.30, 0.14, 0.10])
                yield make()

    def _born(self) -> Person:
        self._people += 1
        person = new_person(self._people, self._rng)
        self._live.append(person)
        return person

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _somebody(self) -> Person:
        if self._gone and self._rng.random() < 0.08:
            return self._rng.choice(self._gone)
        return self._rng.choice(self._live)

    def _contacts(self) -> Step:
        rng, put = self._rng, []
        for _ in range(rng.randint(1, 8)):
            if rng.random() < 0.6:
                self._gone.append(self._live.pop(rng.randrange(len(self._live))))
                put.append(self._born())
            else:
                put.append(self._somebody())
        del self._gone[:-_GONE]
        return self._put(put)

    def _put(self, people: list[Person]) -> Step:
        rows = [contact_row(p, self._rng.random() < 0.93, self._rng) for p in people]
        return self._request("PUT", "/v1/contacts", "contacts", rows, people)

    def _decide(self) -> Step:
        rng = self._rng
        asked: list[tuple[Row, int]] = []
        for _ in range(rng.choice((1, 4, 8, 16, 32))):
            person, draw = self._somebody(), rng.random()
            row: Row = {"contact_id": person.spelled(rng)}
            if draw < 0.22 and person.asked:
                recent = person.asked[-3:] if rng.random() < 0.6 else person.asked
                row["request_id"] = rng.choice(recent)
            elif draw < 0.24 and (other := self._somebody()).asked:
                row["request_id"] = rng.choice(other.asked)
            elif draw < 0.95:
                row["request_id"] = f"r-{self._next()}"
                person.asked.append(row["request_id"])
                self._asked.append((row["request_id"], person.index))
            if rng.random() < 0.1:
                row["available"] = rng.random() < 0.8
            asked.append((row, person.index))
        if rng.random() < 0.08:
            asked.append(rng.choice(asked))
        if rng.random() < 0.05:
            asked.insert(0, ({"contact_id": "unknown to all"}, NOBODY))
        return Step(
            self._clock_us,
            "POST",
            "/v1/decisions",
            json.dumps({"contacts": [row for row, _ in asked]}).encode(),
            tuple(person for _, person in asked),
        )

    def _confirm(self) -> Step:
        rng = self._rng
        count = rng.choice((1, 4, 16))
        asked = rng.choices(self._asked, k=count) if self._asked else []
        del self._asked[:-_LIVE]
        asked = asked or [("made up by nobody", NOBODY)]
        return Step(
            self._clock_us,
            "POST",
            "/v1/decisions/confirm",
            json.dumps({"ids": [name for name, _ in asked]}).encode(),
            tuple(person for _, person in asked),
        )

    def _report(self) -> Step:
        rng, told = self._rng, []
        for _ in range(rng.choice((1, 2, 4, 8))):
            draw = rng.random()
            if draw < 0.12 and self._recent:
                told.append(rng.choice(self._recent))  # delivered again
                continue
            person = self._somebody()
            row, meaning = event_row(person, self._next(), self._clock_us, rng)
            if draw < 0.18 and self._recent:
                row["event_id"] = rng.choice(self._recent)[0]["event_id"]
            told.append((row, person.index, meaning))
            self._recent.append(told[-1])
        if rng.random() < 0.1:
            told.insert(rng.randint(0, len(told)), (broken_row(rng), NOBODY, Meaning.NOTHING))
        if len(self._recent) > _RECENT:
            del self._recent[rng.randrange(_RECENT)]
        return Step(
            self._clock_us,
            "POST",
            "/v1/events",
            json.dumps({"events": [row for row, _, _ in told]}).encode(),
            tuple(person for _, person, _ in told),
            tuple(meaning for _, _, meaning in told),
        )

    def _request(
        self, method: str, path: str, key: str, rows: list[Row], people: list[Person]
    ) -> Step:
        body = json.dumps({key: rows}).encode()
        return Step(self._clock_us, method, path, body, tuple(p.index for p in people))
