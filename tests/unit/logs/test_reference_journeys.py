"""Every journey's reference log reads back as the play it tells of, whatever its clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.rollout import Step, play
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import REFERENCE_WORLDS, reference_world
from nurture_rl.features.table import DecisionTable, decision_table
from nurture_rl.logs.adapters import reference_tables
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.policies.build import PolicyContext, build_policy

N, SEED, ACCOUNT = 120, 6, 4
_MAIL = ("sent", "delivered", "open", "click", "unsubscribe", "complaint")


@dataclass(frozen=True, slots=True)
class Emitted:
    """The log of one journey, raw and read back, and the play it tells of."""

    journey: Journey
    raw_events: pa.Table
    contacts: pa.Table
    refused: int
    decisions: DecisionTable
    steps: tuple[Step, ...]
    late: int  # sums that are recorded after their bin


def slower() -> Journey:
    """Inbound leads who can be slowed down, with a dear offer and a cap on one channel."""
    data = load_journey("inbound_lead").resolved
    rails = data["guardrails"]
    calculator = {"calculator": {"cost": 2.5, "eligible": {"day": ">= 2"}}}
    messages = data["messages"]
    return parse_journey(
        {
            **data,
            "journey": "slower_lead",
            "signals": {**data["signals"], "slowed": {"type": "slowed", "by_action": True}},
            "actions": {**data["actions"], "slow": {"gap_hours": 100, "bins": 5}},
            "features": {
                **data["features"],
                "since_slowed": {"kind": "recency", "of": ["slowed"], "window": 9},
            },
            "messages": {**messages, "welcome": {**messages["welcome"], "channel": "app"}},
            "guardrails": {
                **rails,
                "frequency_caps": [
                    *rails["frequency_caps"],
                    {"max": 1, "hours": 200, "channel": "app"},
                ],
            },
            "offers": calculator,
        }
    )


FIRST, *OTHERS = REFERENCE_WORLDS
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in OTHERS]


@pytest.fixture(scope="module", params=[FIRST, *SLOW, "slower_lead"])
def emitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Emitted:
    folder = tmp_path_factory.mktemp(request.param)
    journey = slower() if request.param == "slower_lead" else request.param
    simulation = Simulation(reference_world(journey))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    policy = build_policy({"kind": "random"}, context)
    seen: list[Step] = []

    def watched(*args: Any) -> Iterator[Step]:
        for step in play(*args):
            seen.append(step)
            yield step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_tables, "play", watched)
        write_reference_log(folder / "raw", simulation, policy, N, SEED, account_size=ACCOUNT)
    catalog = simulation.catalog
    summary = ingest_folder(
        folder / "raw", folder / "out", catalog.ids, catalog.hash, lambda line: None
    )
    events, contacts, decisions = (
        pq.read_table(folder / "out" / f"{name}.parquet")
        for name in ("events", "contacts", "decisions")
    )
    return Emitted(
        simulation.journey,
        pq.read_table(folder / "raw" / "events.parquet"),
        contacts,
        sum(table.quarantined for table in summary.tables),
        decision_table(
            events, contacts, decisions, simulation.journey, default_zone="Europe/Berlin"
        ),
        tuple(seen),
        sum(_late(simulation, step) for step in seen),
    )


def _late(simulation: Simulation, step: Step) -> int:
    delays = simulation.delays(step.state.keys, step.state.bins)
    return int((delays[step.amounts > 0] > 0).sum())


def played(step: Step) -> list[str]:
    """The decision ids of the rows of a step."""
    pairs = zip(step.contact.tolist(), step.state.bins.tolist(), strict=True)
    return [f"lead-{SEED:03d}-{row:06d}.{bin_}" for row, bin_ in pairs]


@pytest.mark.slow
def test_nothing_is_refused_and_every_event_is_a_signal(emitted: Emitted) -> None:
    assert emitted.refused == 0
    assert emitted.decisions.unmatched_events == {}
    assert len(emitted.decisions.table) == sum(len(step.contact) for step in emitted.steps)


def test_logged_features_are_recomputed_bit_for_bit(emitted: Emitted) -> None:
    assert emitted.decisions.logged_features_equal == 1.0


def test_slower_cadences_are_events_of_the_log(emitted: Emitted) -> None:
    slows = "slowed" in emitted.raw_events["type"].to_pylist()
    assert slows == (emitted.journey.guardrails.slow is not None)


def test_outcomes_rewards_and_ends_are_those_of_the_play(emitted: Emitted) -> None:
    table = emitted.decisions.table
    ids = table["decision_id"].to_pylist()
    found = {
        name: dict(zip(ids, table[name].to_pylist(), strict=True))
        for name in ("outcomes", "reward", "terminal")
    }
    for step in emitted.steps:
        names = played(step)
        outcomes = np.array([found["outcomes"][name] for name in names])
        np.testing.assert_array_equal(outcomes, step.amounts.numpy())
        rewards = [found["reward"][name] for name in names]
        np.testing.assert_allclose(rewards, step.reward.numpy(), rtol=1e-5, atol=1e-4)
        assert [found["terminal"][name] for name in names] == step.terminated.tolist()


def test_mail_events_name_the_message_that_was_sent(emitted: Emitted) -> None:
    actions = dict(
        zip(
            *(emitted.decisions.table[c].to_pylist() for c in ("decision_id", "action")),
            strict=True,
        )
    )
    told = 0
    for event in emitted.raw_events.to_pylist():
        if event["type"] in _MAIL and event["message_id"] is not None:
            assert actions[event["decision_id"]].startswith(f"send:{event['message_id']}@")
            told += 1
    assert told > N


def test_nothing_is_recorded_before_it_occurs_and_late_channels_are_late(
    emitted: Emitted,
) -> None:
    events = emitted.raw_events
    occurred, recorded = (
        np.asarray(events[name].cast(pa.int64())) for name in ("occurred_at", "recorded_at")
    )
    assert (recorded >= occurred).all()
    assert (recorded > occurred).sum() <= emitted.late  # a count and its value are one event
    assert (recorded > occurred).any()


def test_neighbours_share_an_account(emitted: Emitted) -> None:
    accounts = emitted.contacts["account_id"].to_pylist()
    assert len(set(accounts)) == N // ACCOUNT
    assert accounts == [accounts[row - row % ACCOUNT] for row in range(N)]
