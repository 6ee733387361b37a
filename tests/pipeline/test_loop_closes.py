"""The server's own log is the next training set, twice around, with no hand in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.workflow.collect import reference_simulation
from tests.pipeline.in_process import TINY, nurture
from tests.pipeline.running_server import running
from tests.pipeline.world_player import WorldPlayer

SERVED = 80  # contacts of a turn


def typed(name: str, *words: str) -> None:
    done = nurture(name, *words)
    assert done.code == 0, done.stdout[-2000:] + done.stderr[-4000:]


def newest(runs: Path, stage: str) -> Path:
    found = sorted((runs / "stages").glob(f"{stage}-*"), key=lambda path: path.stat().st_mtime)
    return found[-1]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def serve_and_play(bundle: Path, store: Path, contacts: int, seed: int) -> WorldPlayer:
    player = WorldPlayer(reference_simulation(load_journey("inbound_lead")), contacts, seed)
    # The world's contacts without a zone live where the journey's own figure says.
    zones = ("unknown_zone_slack=[-1,6]",)
    with running(bundle, store, "simulated_clock=true", *zones) as server:
        player.play(server.send)
    return player


@pytest.mark.timeout(600)
def test_served_decisions_and_their_outcomes_train_the_next_policy(tmp_path: Path) -> None:
    small = [*TINY, f"runs={tmp_path / 'runs'}", "~policies.no_contact", "~policies.random"]
    few = ["data.contacts=100", "~policies.tuned_rules", "~policies.ppo"]
    typed("export", *small, *few, "+policy=logging", "release.policy=logging")
    runs = tmp_path / "runs"
    for turn, served in enumerate(("logging", "linear_thompson")):
        bundle = newest(runs, "release") / "bundle"
        if served == "linear_thompson":
            bundle = learned_bundle(tmp_path, runs)
        store, log = tmp_path / f"store-{turn}.db", tmp_path / f"log-{turn}"
        player = serve_and_play(bundle, store, SERVED, seed=50 + turn)
        assert player.masks_agree == player.decisions  # one implementation of the guardrails
        typed("export_log", f"store={store}", f"out={log}")
        typed("pipeline", *small, "data=folder", f"data.path={log}", f"seed={turn}")
        about = read(newest(runs, "ingest") / "decisions.json")
        assert about["decisions"] == player.decisions
        assert about["logged_features_equal"] == 1.0
        summary = read(newest(runs, "ingest") / "tables" / "summary.json")
        assert [table["quarantined"] for table in summary["tables"]] == [0, 0, 0]
        assert read(newest(runs, "release") / "gate.json")["candidate"] in (
            "linear_thompson",
            "ppo",
            "tuned_rules",
        )


def learned_bundle(tmp_path: Path, runs: Path) -> Path:
    """A bundle around the Thompson core of the latest turn, as a passed gate would write it."""
    from datetime import UTC, datetime

    import numpy as np

    from nurture_envs.actions import ActionCatalog
    from nurture_rl.decisions import load_decisions
    from nurture_rl.release.bundle import BundleContent, write_bundle
    from nurture_rl.release.card import PolicyCard
    from nurture_rl.release.onnx_export import export_onnx
    from nurture_rl.release.parity import random_states
    from nurture_rl.workflow.learn import load_core, load_policy

    journey = load_journey("inbound_lead")
    catalog, rng = ActionCatalog.of(journey), np.random.default_rng(0)
    folder = newest(runs, "policy-linear_thompson")
    core = load_core(folder, journey)
    assert core is not None
    export_onnx(core, tmp_path / "model.onnx", catalog, rng)
    features = load_decisions(newest(runs, "ingest"), journey, 0.5).features
    states = random_states(features, catalog.wait, len(catalog), 64, rng)
    card = PolicyCard("test", "synthetic", "", None, None, (), ())
    spec = load_policy(folder, journey).spec()
    model = (tmp_path / "model.onnx").read_bytes()
    content = BundleContent(journey, spec, model, states, card)
    write_bundle(tmp_path / "learned", content, datetime.now(UTC))
    return tmp_path / "learned"
