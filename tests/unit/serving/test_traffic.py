"""A server takes on what it can do: slow bodies end, long requests take turns, health is prompt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from litestar.exceptions import InternalServerException

from nurture_rl.serving.http.traffic import (
    Bodies,
    Busy,
    CutBody,
    Lane,
    Pulse,
    SlowBody,
    TrafficLimits,
    Turns,
)

LIMITS = TrafficLimits(bodies_bytes=10, body_seconds=5.0, known_seconds=0.05, silent_seconds=0.3)


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part


async def never_ending() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(60)


async def read(bodies: Bodies, stream: AsyncIterator[bytes]) -> bytes:
    async with bodies.read(stream) as body:
        return body


def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    bodies = Bodies(replace(LIMITS, body_seconds=0.02))
    with pytest.raises(SlowBody, match=r"within 0\.02 s; send it again"):
        asyncio.run(read(bodies, never_ending()))


def test_a_body_that_breaks_off_is_its_senders_fault() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"{"
        raise InternalServerException("client disconnected prematurely")  # as Litestar tells it

    bodies = Bodies(LIMITS)
    with pytest.raises(CutBody, match="broke off before its end") as refused:
        asyncio.run(read(bodies, broken()))
    assert refused.value.status_code == 400
    assert asyncio.run(read(bodies, parts(b"1234567890")))  # its bytes are let go of


def test_a_crowd_that_begins_at_once_lets_others_in_between() -> None:
    async def crowded() -> tuple[list[int], int]:
        turns, begun, seen = Turns(), list[int](), list[int]()

        async def begin(number: int) -> None:
            await turns.taken()
            begun.append(number)

        crowd = [asyncio.create_task(begin(number)) for number in range(100)]
        crowd[50].cancel()
        while not all(one.done() for one in crowd):
            await asyncio.sleep(0)
            seen.append(len(begun))
        await turns.taken()  # the room of later rounds is not used up
        steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
        assert begun == [number for number in range(100) if number != 50]
        return steps, len(begun)

    steps, count = asyncio.run(crowded())
    assert count == 99
    assert max(steps) <= 8


def test_bodies_in_memory_are_limited_together_and_let_go_of_afterwards() -> None:
    bodies = Bodies(LIMITS)

    async def scene() -> None:
        async with bodies.read(parts(b"123", b"456")) as body:
            assert body == b"123456"
            with pytest.raises(Busy):
                await read(bodies, parts(b"78", b"901"))
            assert await read(bodies, parts(b"78", b"90")) == b"7890"
        assert await read(bodies, parts(b"1234567890")) == b"1234567890"

    asyncio.run(scene())


def test_long_work_lets_other_work_in_between_its_steps() -> None:
    order: list[str] = []

    def steps(name: str, count: int) -> Iterator[str | None]:
        for _ in range(count):
            order.append(name)
            yield None
        yield name

    async def scene() -> list[str]:
        lane = Lane("test", threads=1, most=2)
        return list(await asyncio.gather(lane.run(steps("a", 3)), lane.run(steps("b", 3))))

    assert asyncio.run(scene()) == ["a", "b"]
    assert order == ["a", "b"] * 3


def test_more_than_a_lane_holds_is_turned_away_and_its_failures_free_it() -> None:
    async def scene() -> None:
        lane, gate = Lane("test", threads=2, most=1), threading.Event()

        def held() -> Iterator[int | None]:
            gate.wait(10)
            raise ValueError("broken")
            yield 1

        running = asyncio.create_task(lane.run(held()))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await lane.run(iter([1]))
        gate.set()
        with pytest.raises(ValueError, match="broken"):
            await running
        assert await lane.run(iter([None, 1])) == 1

    asyncio.run(scene())


def test_health_says_what_it_knows_of_a_busy_store_and_gives_a_silent_one_up() -> None:
    gate, busy = threading.Event(), threading.Event()

    def beat() -> bool:
        if busy.is_set():
            gate.wait(10)
        return True

    async def scene() -> None:
        pulse = Pulse(beat, LIMITS)
        assert await pulse.healthy()
        busy.set()
        assert await pulse.healthy()  # busy, yet well a moment ago
        await asyncio.sleep(LIMITS.silent_seconds)
        assert not await pulse.healthy()
        gate.set()
        await asyncio.sleep(0.1)
        assert await pulse.healthy()

    asyncio.run(scene())


def test_health_of_a_store_that_refuses_is_known_at_once() -> None:
    assert not asyncio.run(Pulse(lambda: False, LIMITS).healthy())


def test_health_of_a_store_that_takes_its_time_to_refuse_is_known_by_the_next_who_asks() -> None:
    refuses, told = threading.Event(), threading.Event()

    def beat() -> bool:
        if not refuses.is_set():
            return True
        told.wait(10)
        return False

    async def scene() -> None:
        pulse = Pulse(beat, replace(LIMITS, silent_seconds=60.0))
        assert await pulse.healthy()
        refuses.set()
        assert await pulse.healthy()  # nothing is known yet
        told.set()
        while pulse._running is not None and not pulse._running.done():
            await asyncio.sleep(0.001)
        told.clear()
        assert not await pulse.healthy()  # though the next beat waits
        told.set()

    asyncio.run(scene())
