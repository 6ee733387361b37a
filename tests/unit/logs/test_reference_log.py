"""The log that the reference world emits is a real log: clean, complete, and true to the play."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import Step, play
from nurture_envs.signals import EventColumns, classify
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.inbound_lead import InboundLeadWorld
from nurture_envs.worlds.zones import ZONES
from nurture_rl.features.table import DecisionTable, decision_table
from nurture_rl.logs.adapters import reference_tables
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.summary import IngestSummary
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy

JOURNEY = load_journey("inbound_lead")
SIMULATION = Simulation(InboundLeadWorld(JOURNEY))
N, SEED = 600, 4


def logging_policy() -> Policy:
    """The drip, mixed with enough chance that every action is logged."""
    context = PolicyContext(JOURNEY, SIMULATION.catalog, SIMULATION.spec)
    return build_policy({"kind": "explore", "base": "drip", "share": 0.5}, context)


@dataclass(frozen=True, slots=True)
class Emitted:
    """One reference log, raw and ingested, and the play it tells of."""

    raw: Path
    summary: IngestSummary
    events: pa.Table
    contacts: pa.Table
    decisions: DecisionTable
    steps: tuple[Step, ...]


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Emitted:
    folder = tmp_path_factory.mktemp("reference")
    raw, out = folder / "raw", folder / "checked"
    seen: list[Step] = []

    def watched(*args: Any) -> Iterator[Step]:
        for step in play(*args):
            seen.append(step)
            yield step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_tables, "play", watched)
        patch.setattr(reference_tables, "_BLOCK", 256)  # three blocks
        write_reference_log(raw, SIMULATION, logging_policy(), N, SEED)
    catalog = SIMULATION.catalog
    summary = ingest_folder(raw, out, catalog.ids, catalog.hash, lambda line: None)
    events, contacts, decisions = (
        pq.read_table(out / f"{name}.parquet") for name in ("events", "contacts", "decisions")
    )
    table = decision_table(events, contacts, decisions, JOURNEY, default_zone="Europe/Berlin")
    return Emitted(raw, summary, events, contacts, table, tuple(seen))


def by_decision(emitted: Emitted, name: str) -> dict[str, Any]:
    """One column of the decision table by raw decision id, `lead-<seed>-<row>.<bin>`."""
    table = emitted.decisions.table
    return dict(zip(table["decision_id"].to_pylist(), table[name].to_pylist(), strict=True))


def played(step: Step) -> list[str]:
    """The decision ids of the rows of a step."""
    bins = step.state.bins.tolist()
    pairs = zip(step.contact.tolist(), bins, strict=True)
    return [f"lead-{SEED:03d}-{row:06d}.{bin_}" for row, bin_ in pairs]


@pytest.mark.slow
def test_nothing_of_the_log_is_refused(emitted: Emitted) -> None:
    refused = {count.table: count.quarantined for count in emitted.summary.tables}
    assert refused == {"events": 0, "contacts": 0, "decisions": 0}
    assert emitted.summary.contacts == N
    assert len(emitted.decisions.table) == sum(len(step.contact) for step in emitted.steps)


def test_anonymous_page_views_find_their_contact(emitted: Emitted) -> None:
    views = emitted.events.filter(pc.equal(emitted.events["type"], "page_view"))
    assert len(views) > N
    known = set(emitted.contacts["contact_id"].to_pylist())
    assert set(views["contact_id"].to_pylist()) <= known


def test_logged_features_are_recomputed_bit_for_bit(emitted: Emitted) -> None:
    assert emitted.decisions.logged_features_equal == 1.0


def test_outcomes_and_rewards_are_those_of_the_play(emitted: Emitted) -> None:
    outcomes, rewards = by_decision(emitted, "outcomes"), by_decision(emitted, "reward")
    for step in emitted.steps:
        ids = played(step)
        found = np.array([outcomes[id_] for id_ in ids])
        np.testing.assert_array_equal(found, step.amounts.numpy())
        np.testing.assert_array_equal([rewards[id_] for id_ in ids], step.reward.numpy())


def test_an_episode_ends_in_the_log_where_it_ended_in_the_play(emitted: Emitted) -> None:
    terminal = by_decision(emitted, "terminal")
    ends = 0
    for step in emitted.steps:
        assert [terminal[id_] for id_ in played(step)] == step.terminated.tolist()
        ends += int(step.terminated.sum())
    assert 0 < ends < N


def test_actions_and_propensities_are_those_of_the_play(emitted: Emitted) -> None:
    actions, chances = by_decision(emitted, "action"), by_decision(emitted, "propensity")
    tables = by_decision(emitted, "probabilities")
    taken = set()
    for step in emitted.steps:
        ids, index = played(step), step.action.tolist()
        assert [actions[id_] for id_ in ids] == [SIMULATION.catalog.ids[i] for i in index]
        rows = step.probabilities.numpy()
        np.testing.assert_array_equal([chances[i] for i in ids], rows[np.arange(len(ids)), index])
        np.testing.assert_array_equal(np.array([tables[id_] for id_ in ids]), rows)
        taken |= set(index)
    assert len(taken) == len(SIMULATION.catalog)  # every action was logged


def test_gateways_click_more_than_people_and_only_their_own_signal_counts_it(
    emitted: Emitted,
) -> None:
    columns = {name: emitted.events[name].to_numpy() for name in EventColumns.__slots__}
    machine = (columns["type"] == "click") & columns["is_machine"].astype(bool)
    human = (columns["type"] == "click") & ~machine
    assert machine.sum() > human.sum() > 0  # in B2B logs most clicks are machines
    signal = classify(EventColumns(**columns), JOURNEY.signals)
    names = [signal.name for signal in JOURNEY.signals]
    assert set(signal[machine]) == {names.index("gateway_clicked")}
    assert names.index("gateway_clicked") not in signal[human]
    assert emitted.decisions.unmatched_events == {}


def hours_until_known(events: pa.Table) -> NDArray[np.float64]:
    occurred, recorded = (
        events[name].cast(pa.int64()).to_numpy() for name in ("occurred_at", "recorded_at")
    )
    hours: NDArray[np.float64] = (recorded - occurred) / 3.6e9
    return hours


def test_what_people_enter_is_recorded_days_late_and_everything_else_at_once(
    emitted: Emitted,
) -> None:
    events = pq.read_table(emitted.raw / "events.parquet")
    kinds = np.array(events["type"].to_pylist())
    late = np.isin(kinds, ("stage_changed", "meeting_booked"))
    hours = hours_until_known(events)
    assert set(hours[late]) == {0.0, 24.0, 48.0, 72.0, 96.0}
    assert set(hours[~late]) == {0.0}


def test_views_before_the_form_are_known_once_the_form_names_the_visitor(emitted: Emitted) -> None:
    hours = hours_until_known(emitted.events)
    waited = emitted.events.filter(pa.array((hours > 0) & (hours < 24)))
    assert set(waited["type"].to_pylist()) == {"page_view"}
    forms = emitted.events.filter(pc.equal(emitted.events["type"], "form_submitted"))
    submitted = dict(
        zip(*(forms[c].to_pylist() for c in ("contact_id", "occurred_at")), strict=True)
    )
    known = zip(*(waited[c].to_pylist() for c in ("contact_id", "recorded_at")), strict=True)
    assert all(submitted[contact] == at for contact, at in known)


def test_contacts_live_in_all_zones_and_some_nowhere_known(emitted: Emitted) -> None:
    zones = emitted.contacts["time_zone"].to_pylist()
    assert set(zones) == {*ZONES, None}
    confidence = emitted.contacts["zone_confidence"].to_pylist()
    assert confidence == [0.0 if zone is None else 1.0 for zone in zones]


def files(folder: Path) -> dict[str, pa.Table]:
    return {path.name: pq.read_table(path) for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_the_seed_fixes_the_log_and_another_seed_makes_another(tmp_path: Path) -> None:
    for name, seed in (("first", 8), ("again", 8), ("other", 9)):
        write_reference_log(tmp_path / name, SIMULATION, logging_policy(), 40, seed)
    first, again, other = (files(tmp_path / name) for name in ("first", "again", "other"))
    assert list(first) == ["contacts.parquet", "decisions.parquet", "events.parquet"]
    assert all(first[name].equals(again[name]) for name in first)
    assert not any(first[name].equals(other[name]) for name in first)


def test_progress_counts_the_contacts_done(tmp_path: Path) -> None:
    told: list[int] = []
    write_reference_log(tmp_path / "log", SIMULATION, logging_policy(), 30, 1, told.append)
    assert told == [30]
