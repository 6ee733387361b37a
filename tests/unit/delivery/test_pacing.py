"""Mail goes at the pace that was asked for, in the order of its hours."""

from __future__ import annotations

from nurture_rl.delivery.pacing import PacedQueue, Rates


def played(queue: PacedQueue[str], now: float = 0.0) -> list[tuple[str, float]]:
    """Items with the moments at which they go."""
    gone = list[tuple[str, float]]()
    while queue.next_due() is not None:
        item, at = queue.take(now)
        if item is None:
            assert at > now
            now = at
        else:
            gone.append((item, now))
    return gone


def test_a_family_has_its_own_pace_and_holds_up_no_other() -> None:
    queue = PacedQueue[str](Rates(all=600.0, family=6.0, own={}))
    for i in range(3):
        queue.put(f"g{i}", "google", 0.0)
    queue.put("y", "yahoo", 0.0)
    gone = dict(played(queue))
    assert [gone["g0"], gone["g1"], gone["g2"]] == [0.0, 10.0, 20.0]
    assert gone["y"] == 0.1  # the pace of all


def test_all_together_go_no_faster_than_they_may() -> None:
    queue = PacedQueue[str](Rates(all=60.0, family=1e6, own={}))
    for i in range(5):
        queue.put(str(i), f"domain{i}", 0.0)
    assert [at for _, at in played(queue)] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_own_rate_comes_first() -> None:
    queue = PacedQueue[str](Rates(all=1e6, family=1e6, own={"google": 1.0}))
    for i in range(2):
        queue.put(f"g{i}", "google", 0.0)
    assert [at for _, at in played(queue)] == [0.0, 60.0]


def test_nothing_goes_before_its_hour() -> None:
    queue = PacedQueue[str](Rates(all=1e6, family=1e6, own={}))
    queue.put("late", "a", 50.0)
    queue.put("early", "a", 20.0)
    assert played(queue) == [("early", 20.0), ("late", 50.0)]


def test_what_is_due_later_waits_behind_the_pace_of_its_family() -> None:
    queue = PacedQueue[str](Rates(all=1e6, family=1.0, own={}))
    queue.put("first", "a", 0.0)
    queue.put("second", "a", 10.0)
    assert played(queue) == [("first", 0.0), ("second", 60.0)]


def test_ten_thousand_are_taken_once_each() -> None:
    queue = PacedQueue[str](Rates(all=1e9, family=1e9, own={}))
    for i in range(10_000):
        queue.put(str(i), f"f{i % 700}", float(i % 13))
    gone = played(queue)
    assert len(queue) == 0
    assert len({item for item, _ in gone}) == len(gone) == 10_000


def test_a_clock_that_is_set_back_does_not_stop_the_mail() -> None:
    queue = PacedQueue[str](Rates(all=60.0, family=6.0, own={}))
    for i in range(3):
        queue.put(f"g{i}", "google", 0.0)
    assert queue.take(10_000.0)[0] == "g0"
    assert queue.take(6_400.0) == (None, 6_410.0)  # an hour earlier: the pace is the same
    assert queue.take(6_409.0)[0] is None
    assert queue.take(6_410.0)[0] == "g1"
    assert queue.take(6_420.0)[0] == "g2"
