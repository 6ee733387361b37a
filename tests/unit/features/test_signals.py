"""What an event is in a journey's words, and what it adds to the channels."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_envs.errors import ShapeError
from nurture_envs.journey import Signal
from nurture_envs.journey_file import load_journey
from nurture_envs.signals import NO_SIGNAL, EventColumns, channel_rows, classify, grid
from tests.unit.features.small_journey import shop_journey


def _columns(*rows: tuple[str, str | None, bool]) -> EventColumns:
    n = len(rows)
    return EventColumns(
        type=[row[0] for row in rows],
        topic=[row[1] for row in rows],
        page_category=[None] * n,
        reply_class=[None] * n,
        stage=[None] * n,
        is_machine=[row[2] for row in rows],
    )


def test_an_event_is_the_signal_whose_every_pinned_column_it_has() -> None:
    journey = load_journey("inbound_lead")
    found = classify(
        _columns(
            ("click", "security", False),
            ("click", "security", True),
            ("click", None, False),
            ("delivered", "pricing", False),
            ("open", None, True),
            ("visit", None, False),
        ),
        journey.signals,
    )
    names = [journey.signals[i].name if i != NO_SIGNAL else None for i in found]
    assert names[:2] == ["clicked_security", "gateway_clicked"]
    assert names[2:] == [None, "delivered", "opened_by_machine", None]


def test_a_numpy_column_reads_like_a_list() -> None:
    signals = (
        Signal("human", "open", is_machine=False),
        Signal("machine", "open", is_machine=True),
    )
    events = _columns(("open", None, True), ("open", None, False))
    arrays = EventColumns(*(np.array(getattr(events, c)) for c in EventColumns.__slots__))
    assert classify(events, signals).tolist() == classify(arrays, signals).tolist() == [1, 0]


def test_no_events_are_no_signals() -> None:
    assert classify(_columns(), load_journey("inbound_lead").signals).shape == (0,)


def test_columns_of_different_length_are_refused() -> None:
    events = EventColumns(["open"], [None], [None], [None], [None], [])
    with pytest.raises(ShapeError, match="equally long"):
        classify(events, ())


def test_a_value_falls_on_the_nearest_1024th_and_a_missing_one_adds_nothing() -> None:
    # 0.1 * 1024 = 102.4 -> 102; 1.5/1024 is a tie and goes to the even 2/1024
    assert grid([0.1, 1.5 / 1024, 3.0, float("nan"), -0.1]).tolist() == [
        102 / 1024,
        2 / 1024,
        3.0,
        0.0,
        -102 / 1024,
    ]


def test_sums_on_the_grid_do_not_depend_on_their_order() -> None:
    raw = np.random.default_rng(0).normal(scale=20.0, size=300)
    shuffled = np.random.default_rng(1).permutation(raw)
    on_grid = [grid(values).astype(np.float32).cumsum()[-1] for values in (raw, shuffled)]
    assert on_grid[0] == on_grid[1]
    off_grid = [values.astype(np.float32).cumsum()[-1] for values in (raw, shuffled)]
    assert off_grid[0] != off_grid[1]  # without the grid the order shows


def test_a_valued_event_is_counted_once_and_valued_once() -> None:
    journey = shop_journey()
    bought, viewed = journey.channel_index("bought"), journey.channel_index("viewed")
    rows = channel_rows(
        np.array([bought, NO_SIGNAL, viewed, bought, bought]),
        [12.5, 3.0, 9.0, 0.0, float("nan")],
        journey,
    )
    assert rows.event.tolist() == [0, 2, 3, 4, 0]
    value = journey.channel_index("bought.value")
    assert rows.channel.tolist() == [bought, viewed, bought, bought, value]
    assert rows.amount.tolist() == [1.0, 1.0, 1.0, 1.0, 12.5]


def test_signals_and_values_of_different_length_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\) and \(1,\)"):
        channel_rows(np.array([0, 1]), [1.0], shop_journey())
