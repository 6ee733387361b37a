"""Twelve simulated weeks of an experiment, over HTTP and in one process: the same decisions."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.simulation_state import SimulationState
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.release.parity import normal_states
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.server_settings import ServerSettings, machine_clock
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.layers import layer_named
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.store import Store
from nurture_rl.workflow.collect import reference_simulation
from tests.pipeline.running_server import running
from tests.pipeline.world_player import Send, WorldPlayer
from tests.unit.release.bundles import CREATED, card

SHARES = {"policy": 0.4, "random": 0.2, "usual": 0.2, "holdout": 0.2}
POLICY = {
    "kind": "mixture",
    "policy": {"kind": "expert"},
    "other": {"kind": "random"},
    "share": 0.5,
}
PEOPLE, SEED, ZONE = 30, 11, "Europe/Berlin"


class NamedPlayer(WorldPlayer):
    """Asks for decisions under ids of its own, so that two servers draw the same luck."""

    def _ask(self, send: Send, state: SimulationState, ids: Any) -> list[Any]:
        steps = dict(zip(map(str, ids), state.bins.tolist(), strict=True))

        def named(method: str, path: str, body: Any) -> Any:
            for ask in body["contacts"]:
                name = ask["contact_id"]
                ask["request_id"] = f"{name}.{steps[name]}"
            return send(method, path, body)

        return super()._ask(named, state, ids)


def bundle_of(folder: Path, free: str | None) -> Bundle:
    """The re-engagement journey, which takes twelve weeks, with all arms."""
    experiment = {"name": "weeks", "usual": "rules", "shares": SHARES, "units": 400}
    experiment |= {} if free is None else {"free": free}
    own = {**load_journey("re_engagement").resolved, "experiment": experiment}
    journey: Journey = parse_journey(own)
    assert journey.clock.horizon * journey.clock.period_hours / 2 == 12 * 7 * 24
    catalog, d = ActionCatalog.of(journey), len(FeatureSpec.of(journey).columns)
    shape = (64, len(catalog))
    states = normal_states(np.zeros(d), np.ones(d), shape, catalog.wait, np.random.default_rng(5))
    return write_bundle(folder, BundleContent(journey, POLICY, None, states, card()), CREATED)


def rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as store:
        return store.execute(f"SELECT * FROM {table} ORDER BY decision_id").fetchall()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("free", "seed"), [(None, 70), ("timing", 71)])
def test_a_programme_is_the_same_over_http_and_in_process(
    free: str | None, seed: int, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path / "bundle", free)
    simulation = reference_simulation(replace(bundle.journey, experiment=None))
    stores = [tmp_path / "http.db", tmp_path / "process.db"]
    for path in stores:
        opening.make(path, fresh_seed=SEED)
    with running(
        tmp_path / "bundle", stores[0], "simulated_clock=true", "unknown_zone_slack=[-1,6]"
    ) as server:
        NamedPlayer(simulation, PEOPLE, seed).play(server.send)
        told = server.send("GET", "/v1/policies")["experiments"]["re_engagement"]
    assert (told["free"], told["shares"], told["since"]) == (free, SHARES, "1970-01-01T00:00:00Z")
    settings = ServerSettings(ZONE, True, machine_clock, unknown_zone_slack=(-1, 6))
    with closing(Store(stores[1])) as store:
        with TestClient(create_app(Service(bundle, store, settings))) as client:

            def send(method: str, path: str, body: Any) -> Any:
                answer = client.request(method, path, json=body)
                assert answer.is_success, answer.text
                return answer.json()

            NamedPlayer(simulation, PEOPLE, seed).play(send)
        for table in ("decisions", "ghosts"):
            assert rows(stores[0], table) == rows(stores[1], table)
        names = [row[0] for row in rows(stores[1], "decisions")]
        require_as_planned(bundle, store, names, free)


def require_as_planned(bundle: Bundle, store: Store, names: list[str], free: str | None) -> None:
    """Arms, locks, holdout and ghosts are what they should be, in every decision."""
    made, ghosts = store.decisions(names), store.ghosts(names)
    rules = layer_named(bundle, bundle.manifest.rules_id)
    assert rules is not None
    arms: dict[str, set[str]] = {}
    free_used = Counter[str]()
    for one in made.values():
        arms.setdefault(one.contact_id, set()).add(one.arm)
        assert one.arm_share == SHARES[one.arm]
        assert replay(bundle, one, SEED)
        assert one.arm == "holdout" or one.decision_id not in ghosts
        assert one.action == "pause:1" or one.arm != "holdout"
        if one.arm != "policy" or free is None:
            continue
        features, mask = np.array([one.features], np.float32), np.array([one.mask])
        table = rules.policy.action_probabilities(features, mask)
        meant = bundle.catalog.actions[int(table[0].argmax())]
        taken = bundle.catalog.actions[bundle.catalog.index(one.action)]
        assert (taken.routing, taken.message, taken.bins) == (
            *(meant.routing, meant.message),
            meant.bins,
        )
        free_used["hour"] += taken.slot != meant.slot
    assert all(len(found) == 1 for found in arms.values())
    assert set.union(*arms.values()) == set(SHARES)
    assert free_used["hour"] > 0 or free is None
    assert any(ghost.action.startswith("send:") for ghost in ghosts.values())
