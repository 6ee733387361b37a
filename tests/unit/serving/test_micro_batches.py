"""Requests that wait at once: one call, each its own answer, an error for its own request alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.micro_batches import MicroBatches
from nurture_rl.serving.records import Answer, Decision, Refusal
from nurture_rl.serving.service import Ask
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, service

_HOUR = 3_600_000_000


class Gate:
    """Decides by refusing, and holds its first call until told; remembers every call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.inside, self.go = threading.Event(), threading.Event()

    def __call__(self, asks: Sequence[Ask], now_us: int | None) -> list[Answer]:
        first = not self.calls
        self.calls.append([ask.contact_id for ask in asks])
        if first:
            self.inside.set()
            assert self.go.wait(10.0)
        if any(ask.contact_id == "broken" for ask in asks):
            raise ValueError("broken")
        return [Refusal(ask.contact_id, "told", str(now_us)) for ask in asks]


def _after_one(requests: Sequence[tuple[list[Ask], int | None]]) -> tuple[Gate, list[object]]:
    """The calls and answers of requests that all came while the first one was decided."""
    gate = Gate()
    together = MicroBatches(gate)

    def asked(asks: list[Ask], now_us: int | None) -> object:
        try:
            return [answer.contact_id for answer in together.decide(asks, now_us)]
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(1 + len(requests)) as pool:
        first = pool.submit(asked, [Ask("first")], None)
        assert gate.inside.wait(10.0)
        others = []
        for number, (asks, now_us) in enumerate(requests, 1):
            others.append(pool.submit(asked, asks, now_us))
            _until(together, number)
        gate.go.set()
        return gate, [first.result(10.0), *(other.result(10.0) for other in others)]


def _until(together: MicroBatches, waiting: int) -> None:
    for _ in range(2000):
        if len(together._waiting) == waiting:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{waiting} requests did not come to wait within ten seconds")


def test_who_waits_is_decided_in_one_call_and_gets_its_own_answers() -> None:
    gate, answers = _after_one([([Ask("a"), Ask("b")], None), ([Ask("c")], None)])
    assert gate.calls == [["first"], ["a", "b", "c"]]
    assert answers == [["first"], ["a", "b"], ["c"]]


def test_a_contact_or_a_decision_stands_in_a_batch_once_and_keeps_its_order() -> None:
    requests = [([Ask("a")], None), ([Ask("A"), Ask("b")], None), ([Ask("b")], None)]
    requests += [([Ask("c", "r")], None), ([Ask("d", "r")], None)]
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


def test_a_batch_ends_at_its_size() -> None:
    some = [([Ask(f"{part}-{i}") for i in range(30)], None) for part in range(3)]
    gate, _ = _after_one([*some, ([Ask(f"big-{i}") for i in range(4)], None)])
    assert [len(call) for call in gate.calls] == [1, 64, 30]


def test_one_that_asks_for_many_does_not_wait_for_a_batch() -> None:
    gate = Gate()
    gate.go.set()
    answers = MicroBatches(gate).decide([Ask(f"c{i}") for i in range(65)])
    assert [len(call) for call in gate.calls] == [65]
    assert len(answers) == 65


@pytest.mark.parametrize("rows", [1, 7])
def test_a_decision_does_not_depend_on_its_company(
    bundle: Bundle, tmp_path: Path, rows: int
) -> None:
    names = [f"c{i}" for i in range(42)]

    def decided(path: Path, together: bool) -> dict[str, Decision]:
        served = service(bundle, path, Clock(MIDNIGHT + 8 * _HOUR))
        served.put_contacts([contact(name) for name in names])
        asks = [Ask(name, f"d-{name}") for name in names]
        parts = [asks[i : i + rows] for i in range(0, len(asks), rows)]
        if together:
            batches = MicroBatches(served.decide)
            with ThreadPoolExecutor(16) as pool:
                answers = [one for part in pool.map(batches.decide, parts) for one in part]
        else:
            answers = [one for part in parts for one in served.decide(part)]
        assert all(isinstance(one, Decision) for one in answers)
        return {one.contact_id: one for one in answers if isinstance(one, Decision)}

    alone = decided(tmp_path / "alone.db", together=False)
    assert decided(tmp_path / "together.db", together=True) == alone
    assert {one.action for one in alone.values()} != {"pause:1"}
