"""Requests that wait at once: one call, each its own answer, an error for its own request alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.micro_batches import MicroBatches
from nurture_rl.serving.http.traffic import Busy
from nurture_rl.serving.records import Answer, Decision, Refusal
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, service
from tests.unit.serving.enrolled import MONDAY, serving

_HOUR = 3_600_000_000
Request = tuple[list[Ask], int | None]


class Gate:
    """Decides by refusing, and holds its first call until told; remembers every call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.go = threading.Event()

    def __call__(self, asks: Sequence[Ask], now_us: int | None) -> list[Answer]:
        self.calls.append([ask.contact_id for ask in asks])
        if len(self.calls) == 1:
            assert self.go.wait(10.0)
        if any(ask.contact_id == "broken" for ask in asks):
            raise ValueError("broken")
        return [Refusal(ask.contact_id, "told", str(now_us)) for ask in asks]


def _once(
    asks: list[Ask], now_us: int | None
) -> Generator[tuple[Sequence[Ask], int | None], Sequence[Answer], Sequence[Answer]]:
    return (yield asks, now_us)


def _names(
    asks: list[Ask], now_us: int | None
) -> Generator[tuple[Sequence[Ask], int | None], Sequence[Answer], object]:
    try:
        return [answer.contact_id for answer in (yield asks, now_us)]
    except ValueError as error:
        return str(error)


def _after_one(requests: Sequence[Request]) -> tuple[Gate, list[object]]:
    """The calls and answers of requests that all came while the first one was decided."""
    gate = Gate()

    async def all_of_them() -> list[object]:
        together = MicroBatches(gate, 100)
        asked = [together.run(_names(*one)) for one in [([Ask("first")], None), *requests]]
        waiting = [asyncio.create_task(one) for one in asked]
        await asyncio.sleep(0)  # each has asked
        gate.go.set()
        return list(await asyncio.gather(*waiting))

    return gate, asyncio.run(all_of_them())


def test_who_waits_is_decided_in_one_call_and_gets_its_own_answers() -> None:
    gate, answers = _after_one([([Ask("a"), Ask("b")], None), ([Ask("c")], None)])
    assert gate.calls == [["first"], ["a", "b", "c"]]
    assert answers == [["first"], ["a", "b"], ["c"]]


def test_a_contact_or_a_decision_stands_in_a_batch_once_and_keeps_its_order() -> None:
    requests: list[Request] = [([Ask("a")], None), ([Ask("A"), Ask("b")], None)]
    requests += [([Ask("b")], None), ([Ask("c", "r")], None), ([Ask("d", "r")], None)]
    gate, answers = _after_one(requests)
    # "b" alone might go with the first "a", but it came after the request that names "b" too.
    assert gate.calls == [["first"], ["a", "c"], ["A", "b", "d"], ["b"]]
    assert answers == [["first"], ["a"], ["A", "b"], ["b"], ["c"], ["d"]]


def test_requests_of_other_moments_are_not_decided_together() -> None:
    gate, _ = _after_one([([Ask("a")], 1), ([Ask("b")], 2), ([Ask("c")], 1)])
    assert gate.calls == [["first"], ["a", "c"], ["b"]]


def test_an_error_reaches_the_request_that_made_it_alone() -> None:
    gate, answers = _after_one([([Ask("a")], None), ([Ask("broken")], None), ([Ask("b")], None)])
    assert answers == [["first"], ["a"], "broken", ["b"]]
    assert gate.calls[1:] == [["a", "broken", "b"], ["a"], ["broken"], ["b"]]


def test_what_a_broken_batch_had_decided_already_is_told_and_not_decided_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "s.db")
    store.put_contacts([contact(name, time_zone="UTC") for name in ("first", "ada", "bob")])
    served = serving(bundle, store, Clock(MONDAY + 8 * _HOUR))
    served.enrolling.enrol("low", "bob", "test", "test")
    append, go = store.append_decisions, threading.Event()

    def refuse_low(decisions: Sequence[Decision], *rest: Any) -> None:
        if len(made) == 2:
            monkeypatch.setattr(store, "append_decisions", append)
            raise StoreUnavailable("no room")
        made.append(decisions[0].contact_id)
        assert go.wait(10.0)
        append(decisions, *rest)

    made: list[str] = []
    monkeypatch.setattr(store, "append_decisions", refuse_low)

    async def all_of_them() -> list[Sequence[Answer]]:
        together = MicroBatches(served.decide, 100)
        asks = [Ask("first"), Ask("ada"), Ask("bob")]
        waiting = [asyncio.create_task(together.run(_once([ask], None))) for ask in asks]
        await asyncio.sleep(0)
        go.set()
        return list(await asyncio.gather(*waiting))

    answers = [one for (one,) in asyncio.run(all_of_them())]
    assert made == ["first", "ada"]  # and "bob" of the same batch was refused at first
    assert [getattr(one, "journey", one) for one in answers] == ["base", "base", "low"]
    assert len(store.decisions([one.decision_id for one in answers])) == 3  # type: ignore[union-attr]
    store.close()


def test_a_batch_ends_at_its_size_unless_one_request_is_larger() -> None:
    some: list[Request] = [([Ask(f"{part}-{i}") for i in range(30)], None) for part in range(3)]
    gate, _ = _after_one([*some, ([Ask(f"big-{i}") for i in range(70)], None)])
    assert [len(call) for call in gate.calls] == [1, 60, 30, 70]


def test_beyond_what_it_takes_on_it_is_busy_and_then_takes_on_again() -> None:
    gate = Gate()

    async def crowded() -> None:
        together = MicroBatches(gate, 1)
        first = asyncio.create_task(together.run(_names([Ask("first")], None)))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await together.run(_names([Ask("second")], None))
        gate.go.set()
        assert await first == ["first"]
        assert await together.run(_names([Ask("third")], None)) == ["third"]

    asyncio.run(crowded())


def test_a_client_that_goes_away_harms_nobody() -> None:
    gate = Gate()

    async def left() -> list[object]:
        together = MicroBatches(gate, 100)
        names = ("first", "gone", "stays")
        waiting = [asyncio.create_task(together.run(_names([Ask(n)], None))) for n in names]
        await asyncio.sleep(0)
        waiting[1].cancel()
        gate.go.set()
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    first, gone, stays = asyncio.run(left())
    assert (first, stays) == (["first"], ["stays"])
    assert isinstance(gone, asyncio.CancelledError)


def test_who_left_before_their_turn_is_not_decided_for() -> None:
    gate = Gate()

    async def left() -> None:
        together = MicroBatches(gate, 100)
        names = ("first", "gone", "also gone")
        waiting = [asyncio.create_task(together.run(_names([Ask(n)], None))) for n in names]
        await asyncio.sleep(0)
        for task in waiting[1:]:
            task.cancel()
        await asyncio.sleep(0)
        gate.go.set()
        assert await waiting[0] == ["first"]
        assert await together.run(_names([Ask("next")], None)) == ["next"]

    asyncio.run(left())
    assert gate.calls == [["first"], ["next"]]


@pytest.mark.parametrize("rows", [1, 7])
def test_a_decision_does_not_depend_on_its_company(
    bundle: Bundle, tmp_path: Path, rows: int
) -> None:
    names = [f"c{i}" for i in range(42)]
    asks = [Ask(name, f"d-{name}") for name in names]
    parts = [asks[i : i + rows] for i in range(0, len(asks), rows)]
    calls = []

    def decided(path: Path, together: bool) -> dict[str, Decision]:
        served = service(bundle, path, Clock(MIDNIGHT + 8 * _HOUR))
        served.put_contacts([contact(name) for name in names])

        def decide(some: Sequence[Ask], now_us: int | None) -> Sequence[Answer]:
            calls.append(len(some))
            return served.decide(some, now_us)

        async def at_once() -> list[Sequence[Answer]]:
            batches = MicroBatches(decide, 100)
            return list(await asyncio.gather(*(batches.run(_once(part, None)) for part in parts)))

        found = asyncio.run(at_once()) if together else [served.decide(part) for part in parts]
        answers = [one for part in found for one in part]
        assert all(isinstance(one, Decision) for one in answers)
        return {one.contact_id: one for one in answers if isinstance(one, Decision)}

    alone = decided(tmp_path / "alone.db", together=False)
    assert decided(tmp_path / "together.db", together=True) == alone
    assert calls == [rows, 42 - rows]
    assert {one.action for one in alone.values()} != {"pause:1"}
