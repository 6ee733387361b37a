"""A played log as arrays is the log that the written tables give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from experiments.common.played import played_data
from nurture_envs.clock import DAY_US, utc_microseconds
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.inbound_lead import ENTRY_DAY, InboundLeadWorld
from nurture_envs.worlds.learned import StartTable
from nurture_rl.features.starts import start_states
from nurture_rl.features.table import decision_table
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.simulator.data import require_world_data

JOURNEY = load_journey("inbound_lead")
SIMULATION = Simulation(InboundLeadWorld(JOURNEY))
CONTEXT = PolicyContext(JOURNEY, SIMULATION.catalog, SIMULATION.spec)
POLICY = build_policy({"kind": "explore", "base": "drip", "share": 0.5}, CONTEXT)
N, SEED, ZONE = 250, 4, "Europe/Berlin"
UNTIL = ENTRY_DAY + 20


@dataclass(frozen=True, slots=True)
class Written:
    """Checked tables of the same play."""

    events: pa.Table
    contacts: pa.Table
    decisions: pa.Table


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("played")
    write_reference_log(folder / "raw", SIMULATION, POLICY, N, SEED)
    catalog = SIMULATION.catalog
    ingest_folder(folder / "raw", folder / "out", catalog.ids, catalog.hash, lambda line: None)
    return Written(*(_read(folder / "out", name) for name in ("events", "contacts", "decisions")))


def _read(folder: Path, name: str) -> pa.Table:
    return pq.read_table(folder / f"{name}.parquet")


def made(log: Written, as_of_us: int | None = None) -> pa.Table:
    """The warehouse's decision table."""
    return decision_table(
        log.events, log.contacts, log.decisions, JOURNEY, as_of_us=as_of_us, default_zone=ZONE
    ).table


def lists(table: pa.Table, name: str) -> NDArray[Any]:
    return np.array(table[name].to_pylist())


def test_the_arrays_are_those_of_the_warehouse(written: Written) -> None:
    data, table = played_data(SIMULATION, POLICY, N, SEED), made(written)
    require_world_data(data)
    contact = np.unique(table["contact_id"].to_pylist(), return_inverse=True)[1]
    np.testing.assert_array_equal(data.cluster, contact)
    np.testing.assert_array_equal(data.step, lists(table, "step"))
    ids = np.array(SIMULATION.catalog.ids)
    assert ids[data.action].tolist() == table["action"].to_pylist()
    pairs = (("features", "features"), ("amounts", "outcomes"), ("propensity", "propensity"))
    np.testing.assert_array_equal(data.event_delay, lists(table, "event_delay"))
    more = (("probabilities", "probabilities"), ("mask", "mask"), ("available", "available"))
    for mine, theirs in (*pairs, *more):
        np.testing.assert_array_equal(getattr(data, mine), lists(table, theirs), err_msg=mine)


def test_a_log_read_in_the_middle_is_the_warehouse_s_of_that_midnight(written: Written) -> None:
    data = played_data(SIMULATION, POLICY, N, SEED, UNTIL)
    midnight = utc_microseconds(np.array([UNTIL * DAY_US]), np.array([ZONE]))
    table = made(written, int(midnight[0]))
    berlin = written.contacts.filter(pc.equal(written.contacts["time_zone"], ZONE))["contact_id"]
    ids = np.unique(table["contact_id"].to_pylist())
    there = np.isin(ids, berlin.to_pylist())
    table = table.filter(pc.is_in(table["contact_id"], value_set=berlin.combine_chunks()))
    table = table.filter(pc.greater_equal(table["age"], 0))
    mine = data.take(there[data.cluster])
    np.testing.assert_array_equal(mine.features, lists(table, "features"))
    np.testing.assert_array_equal(mine.age, lists(table, "age"))
    np.testing.assert_array_equal(mine.matured, lists(table, "matured"))
    late = lists(table, "event_delay")  # holds what was recorded after the reading, too
    known = late <= lists(table, "age")[:, None]
    np.testing.assert_array_equal(mine.amounts, lists(table, "outcomes") * known)
    np.testing.assert_array_equal(mine.event_delay, np.where(known, late, -1))


def test_the_starting_states_are_those_of_the_warehouse(written: Written) -> None:
    table = made(written)
    theirs = start_states(written.events, written.contacts, table, JOURNEY, ZONE)
    mine = played_data(SIMULATION, POLICY, N, SEED).starts
    for name in StartTable.__slots__:
        wanted = torch.tensor(theirs[name]).to(getattr(mine, name).dtype)
        assert torch.equal(getattr(mine, name), wanted), name


def test_the_play_does_not_depend_on_when_its_log_is_read() -> None:
    whole = played_data(SIMULATION, POLICY, N, SEED)
    early = played_data(SIMULATION, POLICY, N, SEED, UNTIL)
    kept = whole.take(whole.when < UNTIL)
    np.testing.assert_array_equal(kept.features, early.features)
    assert len(whole.action) > len(early.action) > 500
    assert early.when.max() == UNTIL - 1
    assert len(early.starts.anchor_us) == len(np.unique(early.cluster))


def test_what_was_recorded_later_is_missing() -> None:
    whole = played_data(SIMULATION, POLICY, N, SEED)
    early = played_data(SIMULATION, POLICY, N, SEED, UNTIL)
    assert early.event_delay is not None
    kept = whole.take(whole.when < UNTIL)
    view, stage = (JOURNEY.channel_index(name) for name in ("viewed_product", "became_mql"))
    np.testing.assert_array_equal(early.amounts[:, view], kept.amounts[:, view])  # never late
    missing = kept.amounts[:, stage] > early.amounts[:, stage]
    assert missing.any()
    assert early.age[missing].max() < len(SIMULATION.world.delays) - 1
    assert (early.amounts[early.age > 10] == kept.amounts[early.age > 10]).all()
    assert (early.event_delay <= early.age[:, None]).all()
    np.testing.assert_array_equal(early.matured, early.age >= max(JOURNEY.delays))


class HandPicked:
    """Sends to the ready, waits for the others."""

    def informed_probabilities(
        self,
        features: NDArray[np.float32],
        mask: NDArray[np.bool_],
        latent: Mapping[str, NDArray[Any]],
    ) -> NDArray[np.float64]:
        sends = mask & SIMULATION.catalog.routed("send")
        share = 1.0 / (1.0 + np.exp(-4.0 * (latent["ready"] - 0.35))) * sends.any(axis=1)
        chosen = share[:, None] * sends / np.maximum(sends.sum(axis=1, keepdims=True), 1)
        chosen[:, SIMULATION.catalog.wait] += 1.0 - share
        return np.asarray(chosen)


@pytest.mark.parametrize("policy", [POLICY, HandPicked()])
def test_the_contacts_of_a_play_do_not_depend_on_its_blocks(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = played_data(SIMULATION, policy, 50, SEED)
    monkeypatch.setattr("experiments.common.played._BLOCK", 20)
    parts = played_data(SIMULATION, policy, 50, SEED)
    for name in ("cluster", "step", "action", "amounts"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=name)


def test_an_insider_sends_to_those_who_would_have_come_anyway() -> None:
    data = played_data(SIMULATION, HandPicked(), 600, SEED)
    require_world_data(data)
    ready = SIMULATION.world.start(population_keys(SEED, 600)).latent["ready"].numpy()[data.cluster]
    first, sent = data.step == 0, SIMULATION.catalog.routed("send")[data.action]
    assert ready[first & sent].mean() > ready[first & ~sent].mean() + 0.4
    assert (data.propensity[sent] < 1.0).all()
    ends = [JOURNEY.channel_index(name) for name in JOURNEY.terminals]
    last = np.append(data.cluster[1:] != data.cluster[:-1], True)
    assert (data.amounts[~last][:, ends] == 0.0).all()  # nothing follows an ended episode
