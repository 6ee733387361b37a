"""What people did first in each episode is what a journey's paths of first steps make of it."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import numpy as np
import pytest

from nurture_envs.derived_rules import PathEvents
from nurture_envs.journey_file import parse_journey
from nurture_rl.features.bins import bin_log
from nurture_rl.logs.path_signals import path_events
from nurture_rl.predictions.episode_acts import EpisodeActs, episode_acts
from nurture_rl.predictions.frequent_paths import in_order
from nurture_rl.predictions.log_episodes import episodes_of
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

BEGIN = at("2026-03-09 00:00")
LENGTH = 5  # days of an episode of the shop
KINDS = {
    "viewed": {"type": "page_view", "page_category": "pricing"},
    "used_x": {"type": "product_used", "topic": "x"},
    "used_core": {"type": "product_used", "topic": "core"},
}


def log_of(seed: int, people: int = 60) -> tuple[EpisodeActs, list[dict[str, object]]]:
    """Acts of random logs, some before the episode, some known late, some known at once."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(people * 5):
        happened = BEGIN + timedelta(hours=int(rng.integers(-72, 120)))
        known = happened + timedelta(hours=int(rng.choice([0, 0, 30])))
        if rng.random() < 0.3:  # a nightly batch
            known = known.replace(hour=0) + timedelta(days=1)
        kind = KINDS[str(rng.choice(list(KINDS)))]
        rows.append(
            {"contact_id": f"p{number % people}", "occurred_at": happened, "recorded_at": known}
            | kind
        )
    names = [{"contact_id": f"p{one}"} for one in range(people)]
    decided = decisions_table(
        [
            name | {"anchor": BEGIN.replace(tzinfo=None), "step": 0, "decided_at": BEGIN}
            for name in names
        ]
    )
    journey = shop_journey()
    log = bin_log(events_table(rows), contacts_table(names), decided, journey)
    who = np.asarray(decided["contact_id"].to_pylist(), object)
    ends = BEGIN + timedelta(days=30)
    episodes = episodes_of(log, who, journey, round(ends.timestamp() * 1e6))
    return episode_acts(log, episodes, journey), rows


@pytest.mark.parametrize("seed", range(3))
def test_who_goes_a_path_has_its_event_and_nobody_else(seed: int) -> None:
    acts, rows = log_of(seed)
    some = 0
    for steps in (*permutations(KINDS, 2), *permutations(KINDS, 3)):
        plain = shop_journey().resolved
        signals = {**plain["signals"], "went": {"type": "gone"}}
        rule = {"steps": list(steps), "hours": LENGTH * 24, "first": True}
        journey = parse_journey({**plain, "signals": signals, "paths": {"gone": rule}})
        (path,) = journey.derived
        assert isinstance(path, PathEvents)
        made = path_events(events_table(rows), path, journey).to_pylist()
        events = {row["contact_id"]: row["recorded_at"] for row in made}
        went, enters = in_order(acts, tuple(acts.names.index(step) for step in steps))
        found = {
            str(who): BEGIN + timedelta(days=float(day))
            for who, day, is_ in zip(acts.cluster, enters, went, strict=True)
            if is_
        }
        assert found.keys() == events.keys()
        assert all(abs(found[who] - events[who]) < timedelta(seconds=1) for who in found)
        some += len(found)
    assert some > 60


def test_what_is_worked_out_of_acts_is_no_act() -> None:
    """A path of it could not be written into a journey."""
    plain = shop_journey().resolved
    signals = {**plain["signals"], "went": {"type": "gone"}}
    rule = {"steps": ["viewed", "used_x"]}
    journey = parse_journey({**plain, "signals": signals, "paths": {"gone": rule}})
    decided = decisions_table(
        [{"contact_id": "p0", "anchor": BEGIN.replace(tzinfo=None), "step": 0, "decided_at": BEGIN}]
    )
    log = bin_log(events_table([]), contacts_table([{"contact_id": "p0"}]), decided, journey)
    who = np.array(["p0"], object)
    episodes = episodes_of(log, who, journey, round(BEGIN.timestamp() * 1e6))
    acts = episode_acts(log, episodes, journey)
    assert "went" not in acts.names
    assert "viewed" in acts.names


def test_episodes_are_watched_less_what_may_be_recorded_late() -> None:
    """The shop knows of a hot contact two days late, so that the last two days tell nothing yet."""
    decided = decisions_table(
        [{"contact_id": "p0", "anchor": BEGIN.replace(tzinfo=None), "step": 0, "decided_at": BEGIN}]
    )
    journey = shop_journey()
    log = bin_log(events_table([]), contacts_table([{"contact_id": "p0"}]), decided, journey)
    for passed, watched in ((1.0, 0.0), (4.0, 2.0), (9.0, float(LENGTH))):
        as_of = round((BEGIN + timedelta(days=passed)).timestamp() * 1e6)
        found = episodes_of(log, np.array(["p0"], object), journey, as_of)
        assert found.watched.tolist() == [watched]
