"""A policy that reads each of the last bins, exported, served, replayed, and read back as a log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_envs.journey_memory import with_memory
from nurture_rl.features import DecisionTable, decision_table
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.remembering import MemoryShape, RememberingTrunk, memory_places
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.release.parity import normal_states
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.exported_rows import exported_decisions
from tests.unit.release.bundles import CREATED, card, small_bundle
from tests.unit.release.bundles import journey as plain_journey
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event

pytestmark = pytest.mark.slow

PEOPLE = [f"c{i}" for i in range(20)]
DAYS = 4
MEMORIES: dict[str, Any] = {
    "sent": {"kind": "memory", "of": ["sent_*"], "window": 3},
    "viewed": {"kind": "memory", "of": ["viewed_*"], "window": 4},
    "interest": {"kind": "decayed", "of": ["viewed_*"], "window": 6, "half_life": 1.5},
    "rising": {"kind": "trend", "of": ["viewed_*", "sent_*"], "window": 1},
    "topics": {"kind": "distinct", "of": ["sent_*"], "by": "topic", "window": 3},
    "topic": {"kind": "affinity", "of": ["sent_*"], "by": "topic", "window": 3},
}


def remembering_journey() -> Journey:
    """The journey of the test bundle, whose contexts tell each of the last days apart.

    By features of its own, and by the memory of every signal that a run can ask for.
    """
    data = plain_journey().resolved
    own = parse_journey({**data, "features": {**data["features"], **MEMORIES}})
    return with_memory(own, DAYS - 2)


def core(journey: Journey) -> ScoredPolicy:
    """A transformer whose every number is drawn, so that it depends on all it reads."""
    spec, catalog = FeatureSpec.of(journey), ActionCatalog.of(journey)
    d, luck = len(spec.columns), torch.Generator().manual_seed(0)
    shape = MemoryShape(d, memory_places(spec.columns), 8, 2, (8, 8))
    assert len(shape.places) == 4
    trunk = RememberingTrunk(shape, luck).requires_grad_(False)
    maps = 0.3 * torch.randn(1, len(catalog), 9, generator=luck, dtype=torch.float64)
    module = ScoredModule((np.zeros(d), np.ones(d)), [], maps, Boltzmann(1.0), trunk=trunk)
    return ScoredPolicy(catalog.hash, spec.columns, module, {})


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its bundle, with the graph in it."""
    folder, journey = tmp_path_factory.mktemp("remembering"), remembering_journey()
    catalog, policy = ActionCatalog.of(journey), core(journey)
    rng = np.random.default_rng(0)
    export_onnx(policy, folder / "core.onnx", catalog, rng)
    d = len(policy.columns)
    states = normal_states(np.zeros(d), np.ones(d), (64, len(catalog)), catalog.wait, rng)
    model = (folder / "core.onnx").read_bytes()
    spec = {"kind": "model", "name": "core"}
    held = BundleContent(journey, spec, model, states, card())
    return write_bundle(folder / "bundle", held, CREATED)


def live(served: Service, clock: Clock, days: range) -> None:
    """Days of contacts who get mail and look at pages."""
    for day in days:
        clock.now_us = MIDNIGHT + day * DAY_US + 8 * HOUR_US
        answers = served.decide([Ask(name, f"{name}-{day}") for name in PEOPLE])
        for i, (name, answer) in enumerate(zip(PEOPLE, answers, strict=True)):
            if not isinstance(answer, Decision):
                continue  # their episode ended with an exit
            if answer.scheduled_us is not None:
                clock.now_us = max(clock.now_us, answer.scheduled_us)
                sent = event("sent", answer.scheduled_us, name, decision_id=answer.decision_id)
                topic = answer.action.removeprefix("send:").partition("_")[0]
                served.append_events([replace(sent, topic=topic)])
            if (i + day) % 3 == 0:
                at = clock.now_us + i
                served.append_events([event("page_view", at, name, page_category="pricing")])


@pytest.fixture(scope="module")
def lived(remembering: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days, as a server's export."""
    folder = tmp_path_factory.mktemp("lived")
    opening.make(folder / "store.db", fresh_seed=12)  # another may draw no mail on some day
    clock, store = Clock(), Store(folder / "store.db")
    store.put_contacts([contact(name) for name in PEOPLE])
    live(Service(remembering, store, ServerSettings(ZONE, False, clock)), clock, range(DAYS))
    export_log(store, folder / "out")
    store.close()
    return folder / "out"


def test_every_decision_comes_out_again_bit_for_bit(lived: Path, remembering: Bundle) -> None:
    found = list(exported_decisions(lived))
    assert len(found) > 3 * len(PEOPLE)
    assert all(replay(remembering, decision, seed) for decision, seed in found)
    assert not all(replay(remembering, decision, seed + 1) for decision, seed in found)


def read_back(lived: Path, journey: Journey, out: Path) -> DecisionTable:
    """What a training reads of the export."""
    catalog = ActionCatalog.of(journey)
    ingest_folder(lived, out, catalog.ids, catalog.hash, lambda _: None, journey=journey)
    events, contacts, decisions = (
        pq.read_table(out / f"{name}.parquet") for name in ("events", "contacts", "decisions")
    )
    return decision_table(events, contacts, decisions, journey, default_zone=ZONE)


def test_what_was_served_is_what_training_reads(lived: Path, tmp_path: Path) -> None:
    journey = remembering_journey()
    made = read_back(lived, journey, tmp_path)
    assert made.logged_features_equal == 1.0
    table = np.array(made.table["features"].to_pylist())
    last_day = table[np.asarray(made.table["step"]) == DAYS - 1]
    columns = made.feature_columns
    recent = ("recent_viewed_pricing@1", "recent_viewed_pricing@2", "recent_sent_pricing@1")
    for name in ("sent@1", "sent@3", "viewed@1", "viewed@2", "viewed@3", *recent):
        assert last_day[:, columns.index(name)].sum() > 0, name
    assert last_day[:, columns.index("viewed@4")].sum() == 0  # the day before they came
    for name in ("interest", "rising", "topics", "topic=pricing"):
        assert len(np.unique(last_day[:, columns.index(name)])) > 2, name


def test_a_policy_that_remembers_decides_otherwise_after_another_past(remembering: Bundle) -> None:
    columns = remembering.feature_spec.columns
    rows = np.zeros((3, len(columns)), np.float32)
    rows[1, columns.index("viewed@1")] = rows[2, columns.index("viewed@2")] = 1.0
    mask = np.ones((3, len(remembering.catalog)), np.bool_)
    table = remembering.policy.action_probabilities(rows, mask)
    assert np.abs(table[1] - table[0]).max() > 1e-3
    assert np.abs(table[2] - table[1]).max() > 1e-3


def test_who_begins_to_remember_in_the_middle_of_an_episode_knows_what_was_before(
    remembering: Bundle, tmp_path: Path
) -> None:
    opening.make(tmp_path / "store.db", fresh_seed=3)
    clock, store = Clock(), Store(tmp_path / "store.db")
    store.put_contacts([contact(name) for name in PEOPLE])
    plain = small_bundle(tmp_path / "plain", plain_journey())
    for bundle, days in ((plain, range(2)), (remembering, range(2, DAYS))):
        live(Service(bundle, store, ServerSettings(ZONE, False, clock)), clock, days)
    export_log(store, tmp_path / "out")
    store.close()
    later = [
        (decision, seed)
        for decision, seed in exported_decisions(tmp_path / "out")
        if decision.policy_id == remembering.policy_id
    ]
    assert len(later) > len(PEOPLE)
    assert all(replay(remembering, decision, seed) for decision, seed in later)
    made = read_back(tmp_path / "out", remembering.journey, tmp_path / "read")
    warehouse = dict(
        zip(made.table["decision_id"].to_pylist(), made.table["features"].to_pylist(), strict=True)
    )
    assert all(list(one.features or ()) == warehouse[one.decision_id] for one, _ in later)
    first = made.feature_columns.index("recent_viewed_pricing@2")
    assert sum(warehouse[one.decision_id][first] for one, _ in later if one.step == 2) > 0
