"""Paths: signals that came one after the other, whatever lay in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nurture_envs.derived_rules import PathEvents
from nurture_envs.errors import JourneyError
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.logs.path_signals import path_events
from tests.unit.features.small_journey import shop_journey
from tests.unit.logs.piece_by_piece import read_piece_by_piece
from tests.unit.logs.test_derived_events import us
from tests.unit.logs.test_machine_marks import NOON, SECOND, event, table

DAY = 24 * 3600
LETTERS = {
    "v": lambda day, **more: event("page_view", day * DAY, page_category="pricing", **more),
    "x": lambda day, **more: event("product_used", day * DAY, topic="x", **more),
    "c": lambda day, **more: event("product_used", day * DAY, topic="core", **more),
    "b": lambda day, **more: event("purchase", day * DAY, **more),
    "-": lambda day, **more: event("page_view", day * DAY, page_category="help", **more),
}
NAMES = {"v": "viewed", "x": "used_x", "c": "used_core"}


def journey(**rule: Any) -> Journey:
    plain = shop_journey().resolved
    signals = {**plain["signals"], "went": {"type": "gone"}}
    return parse_journey({**plain, "signals": signals, "paths": {"gone": rule}})


def gone(days: str, steps: str, **rule: Any) -> list[float]:
    """Days on which a path was complete; a letter a day."""
    rows = [LETTERS[letter](float(day)) for day, letter in enumerate(days)]
    return [day for day, _ in found(rows, steps, **rule)]


def found(rows: Sequence[dict[str, Any]], steps: str, **rule: Any) -> list[tuple[float, str]]:
    of = journey(steps=[NAMES[one] for one in steps], **rule)
    (path,) = of.derived
    assert isinstance(path, PathEvents)
    return [
        ((us(row["occurred_at"]) - NOON) / SECOND / DAY, json.loads(row["properties"])["reason"])
        for row in path_events(table(*rows), path, of).to_pylist()
    ]


def brute(days: str, steps: str, most: int) -> list[float]:
    """The same by trying every choice of days for the steps since the last complete path."""
    told, since = [], 0
    for end in range(len(days)):
        if days[end] != steps[-1]:
            continue

        def back(place: int, last: int, since: int = since) -> list[int]:
            """First days of the steps before `place`, the last of them before day `last`."""
            if place < 0:
                return [last]
            earlier = [d for d in range(since, last) if days[d] == steps[place]]
            return [first for d in earlier for first in back(place - 1, d)]

        if any(end - first <= most for first in back(len(steps) - 2, end)):
            told.append(float(end))
            since = end + 1
    return told


def test_steps_in_their_order_make_one_event_and_begin_anew() -> None:
    assert gone("vx", "vx") == [1.0]
    assert gone("xv", "vx") == []
    assert gone("v--x", "vx") == [3.0]
    assert gone("vxvx", "vx") == [1.0, 3.0]
    assert gone("vvxx", "vx") == [2.0]
    assert gone("vxcvc", "vxc") == [2.0]
    assert gone("vvv", "vv") == [1.0]
    assert gone("vvvv", "vv") == [1.0, 3.0]


def test_the_first_step_must_not_be_too_long_ago() -> None:
    assert gone("v---x", "vx", hours=3 * 24) == []
    assert gone("v-v-x", "vx", hours=3 * 24) == [4.0]


def test_signals_of_until_begin_anew() -> None:
    assert gone("vbx", "vx", until=["bought"]) == []
    assert gone("vbx", "vx") == [2.0]
    ((_, reason),) = found([LETTERS["v"](0.0), LETTERS["x"](2.0)], "vx")
    assert reason == "viewed, then used_x within 2.0 days"


@pytest.mark.parametrize("seed", range(40))
def test_every_choice_of_steps_is_thought_of(seed: int) -> None:
    rng = np.random.default_rng(seed)
    days = "".join(rng.choice(list("vxc-"), 14))
    steps = "".join(rng.choice(list("vxc"), int(rng.integers(2, 4))))
    most = int(rng.integers(2, 9))
    assert gone(days, steps, hours=24 * most) == brute(days, steps, most)


def test_of_first_steps_only_the_first_of_each_signal_counts() -> None:
    assert gone("vxvx", "vx", first=True) == [1.0]
    assert gone("xvx", "vx", first=True) == []
    assert gone("xvx", "vx") == [2.0]
    assert gone("vvx", "vx", first=True) == [2.0]
    assert gone("vxc", "vxc", first=True) == [2.0]
    assert gone("vcxc", "vxc", first=True) == []
    assert gone("xbvx", "vx", first=True, until=["bought"]) == [3.0]
    assert gone("v-v-x", "vx", first=True, hours=3 * 24) == []  # the first is too long ago


def test_first_steps_that_came_at_once_have_no_order() -> None:
    both = [LETTERS["v"](1.0), LETTERS["x"](1.0)]
    assert found(both, "vx", first=True) == found(both, "xv", first=True) == []
    # Records of one moment go by when their events happened.
    late = {"recorded_at": NOON + 9 * DAY * SECOND}
    batch = [LETTERS["x"](2.0) | late, LETTERS["v"](1.0) | late]
    assert [day for day, _ in found(batch, "vx", first=True)] == [2.0]


@pytest.mark.parametrize("seed", range(40))
def test_first_steps_are_those_of_a_sorted_list(seed: int) -> None:
    days = "".join(np.random.default_rng(seed).choice(list("vxc-"), 9))
    for steps in ("vx", "xv", "vxc", "cvx"):
        at = [days.find(one) for one in steps]
        went = min(at) >= 0 and at == sorted(at)
        assert gone(days, steps, first=True) == ([float(at[-1])] if went else [])


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_log_read_piece_by_piece_gives_the_paths_of_the_whole(seed: int, first: bool) -> None:
    rng = np.random.default_rng(seed)
    of = journey(steps=["viewed", "used_x"], until=["bought"], first=first)
    rows = []
    for number in range(60):
        day = float(rng.uniform(0, 30))
        letter = str(rng.choice(list("vxb"), p=[0.45, 0.45, 0.1]))
        row = LETTERS[letter](day, contact=f"p{number % 12}")
        late = NOON + int((day + rng.exponential(2)) * DAY) * SECOND
        rows.append(row | {"event_id": f"e{number}", "recorded_at": late})
    (path,) = of.derived
    assert isinstance(path, PathEvents)

    pieces = read_piece_by_piece(rows, lambda some: path_events(some, path, of))
    assert len(pieces) > 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"steps": ["viewed"]}, "two signals or more"),
        ({"steps": ["viewed", "usedx"]}, "no signal is called 'usedx'"),
        ({"steps": ["viewed", "went"]}, "cannot be counted itself"),
        ({"steps": ["viewed", "used_x"], "hours": 0}, "hours"),
        ({"steps": ["viewed", "used_x"], "times": 2}, "times: no such key"),
        ({"steps": ["viewed", "viewed"], "first": True}, "each signal once"),
    ],
)
def test_wrong_paths_are_told(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(JourneyError, match=said):
        journey(**rule)
