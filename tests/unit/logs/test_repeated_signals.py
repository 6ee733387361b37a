"""Friction and confusion: signals that repeat themselves are states of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.derived_rules import RepeatedEvents
from nurture_envs.errors import JourneyError
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.trial_onboarding import TrialOnboardingParams, TrialOnboardingWorld
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.repeated_signals import repeated_events
from nurture_rl.policies.build import PolicyContext, build_policy
from tests.unit.features.small_journey import shop_journey
from tests.unit.logs.piece_by_piece import read_piece_by_piece
from tests.unit.logs.test_derived_events import us
from tests.unit.logs.test_machine_marks import NOON, SECOND, event, table

HOUR = 3600


def journey(**rule: Any) -> Journey:
    plain = shop_journey().resolved
    signals = {**plain["signals"], "stuck": {"type": "friction"}}
    rules = {"friction": {"of": ["viewed", "used_x"], "times": 3, "hours": 5, **rule}}
    return parse_journey({**plain, "signals": signals, "repeated": rules})


def repeats(of: Journey) -> RepeatedEvents:
    (rule,) = of.derived
    assert isinstance(rule, RepeatedEvents)
    return rule


def act(hours: float, who: str = "ada", **cells: Any) -> dict[str, Any]:
    return event("product_used", hours * HOUR, who, topic="x", **cells)


def made(rows: Sequence[dict[str, Any]], **rule: Any) -> list[tuple[str, float]]:
    """Contact, and hours after noon, of each event that is worked out."""
    of = journey(**rule)
    found = repeated_events(table(*rows), repeats(of), of).to_pylist()
    assert {row["type"] for row in found} <= {"friction"}
    return [(row["contact_id"], (us(row["occurred_at"]) - NOON) / SECOND / HOUR) for row in found]


def test_so_many_signals_within_so_many_hours_make_one_event_and_begin_anew() -> None:
    assert made([act(0), act(1), act(2)]) == [("ada", 2.0)]
    assert made([act(0), act(1)]) == []
    assert made([act(0), act(1), act(5)]) == []  # the first is five hours old by then
    assert made([act(n) for n in range(7)]) == [("ada", 2.0), ("ada", 5.0)]
    view = event("page_view", 1 * HOUR, page_category="pricing")
    assert made([act(0), view, act(2)]) == [("ada", 2.0)]
    other = event("page_view", 1 * HOUR, page_category="help")
    assert made([act(0), other, act(2)]) == []


def test_contacts_count_for_themselves() -> None:
    both = [act(0), act(1, "bob"), act(1), act(2, "bob"), act(3, "bob")]
    assert made(both) == [("bob", 3.0)]


def test_progress_begins_the_count_anew() -> None:
    bought = event("purchase", 1.5 * HOUR)
    assert made([act(0), act(1), bought, act(2)], until=["bought"]) == []
    assert made([act(0), act(1), bought, act(2)]) == [("ada", 2.0)]
    assert made([act(0), act(1), bought, act(2), act(3), act(4)], until=["bought"]) == [("ada", 4)]


@pytest.mark.parametrize("seed", range(4))
def test_a_log_read_piece_by_piece_gives_the_events_of_the_whole(seed: int) -> None:
    rng, of = np.random.default_rng(seed), journey(until=["bought"])
    rows = []
    for number in range(60):
        hours = float(rng.uniform(0, 30))
        row = act(hours) if rng.random() < 0.85 else event("purchase", hours * HOUR)
        late = NOON + int((hours + rng.exponential(3)) * HOUR) * SECOND
        rows.append(row | {"event_id": f"e{number}", "recorded_at": late})

    pieces = read_piece_by_piece(rows, lambda some: repeated_events(some, repeats(of), of))
    assert len(pieces) > 2


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"of": ["viewd"]}, "no signal is called 'viewd'"),
        ({"times": 1}, "times: expected a whole number >= 2"),
        ({"hours": 0}, "hours"),
        ({"of": ["stuck"]}, "cannot be counted itself"),
        ({"until": ["stuck"]}, "cannot be counted itself"),
        ({"hour": 3}, "hour: no such key"),
    ],
)
def test_wrong_rules_are_told(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(JourneyError, match=said):
        journey(**rule)


def test_a_rule_that_no_signal_reads_is_told() -> None:
    plain = shop_journey().resolved
    rules = {"friction": {"of": ["viewed"], "times": 3}}
    with pytest.raises(JourneyError, match="no signal reads what is made"):
        parse_journey({**plain, "repeated": rules})


MILESTONES = ["connected_data", "invited_teammate", "first_report", "first_automation"]
CONFUSED = {"of": ["viewed_help"], "times": 3, "hours": 336, "until": MILESTONES}


def flagged(share: float, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Who is found confused in the log of a trial world, and who truly is, [n] each."""
    trial, n, seed = load_journey("trial_onboarding"), 400, 5
    world = TrialOnboardingWorld(trial, TrialOnboardingParams(confused_share=share))
    simulation = Simulation(world)
    drip = build_policy("drip", PolicyContext(trial, simulation.catalog, simulation.spec))
    write_reference_log(folder / "raw", simulation, drip, n, seed)
    signals = {**trial.resolved["signals"], "confused": {"type": "confused"}}
    reading = parse_journey(
        {**trial.resolved, "signals": signals, "repeated": {"confused": CONFUSED}}
    )
    ingest_folder(folder / "raw", folder / "out", None, None, lambda line: None, journey=reading)
    events = pq.read_table(folder / "out" / "events.parquet")
    who = events.filter(pc.equal(events["type"], "confused"))["contact_id"].unique()
    names = pq.read_table(folder / "out" / "contacts.parquet")["contact_id"]
    found = np.asarray(pc.is_in(names, value_set=who))
    rows = [int(name.rsplit("-", 1)[1]) for name in names.to_pylist()]
    truth = world.start(population_keys(seed, n, simulation.device)).latent["confused"]
    return found, np.asarray(truth)[rows]


def test_planted_confusion_is_found_and_none_where_there_is_none(tmp_path: Path) -> None:
    found, true = flagged(0.3, tmp_path / "some")
    assert (found & true).sum() / found.sum() > 0.85  # 0.92 of 1,500 users
    assert (found & true).sum() / true.sum() > 0.65  # 0.77
    found, true = flagged(0.0, tmp_path / "none")
    assert not true.any()
    assert found.mean() < 0.06  # 0.033
