"""From the decision table to a learned world."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.learned import StartTable
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.store import load_learned_world, save_world
from nurture_rl.workflow.decisions import Decisions, load_decisions, training_rows
from nurture_rl.workflow.stages import Workshop


def learned_world(
    workshop: Workshop,
    journey: Journey,
    ingested: Path,
    held_out: float,
    config: WorldConfig,
    seed: int,
) -> Path:
    """Fit a world to the training contacts; the folder holds `world/` and `calibration.json`."""
    inputs = {
        "ingest": ingested.name,
        "held_out": held_out,
        "config": asdict(config),
        "seed": seed,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        decisions = training_rows(load_decisions(ingested, journey, held_out))
        data = _world_data(decisions, start_table(ingested, held_out))
        fitted = fit_world(
            data,
            journey,
            config,
            seed,
            lambda epoch, loss: workshop.say(f"  epoch {epoch + 1}: tuning loss {loss:.5f}"),
        )
        save_world(fitted.world, out / "world")
        (out / "calibration.json").write_text(
            json.dumps(asdict(fitted.calibration)) + "\n", "utf-8"
        )

    return workshop.stage("world", inputs, build)


def learned_simulation(folder: Path, journey: Journey) -> Simulation:
    """The fitted world of a stage, compiled."""
    return Simulation(load_learned_world(folder / "world", journey))


def start_table(ingested: Path, held_out: float) -> StartTable:
    """Starting states of the training contacts' episodes."""
    with np.load(ingested / "starts.npz", allow_pickle=False) as stored:
        rows = stored["held_out"] >= held_out
        found = {name: torch.as_tensor(stored[name][rows]) for name in StartTable.__slots__}
    return StartTable(**found)


def _world_data(decisions: Decisions, starts: StartTable) -> WorldData:
    return WorldData(
        features=decisions.features,
        action=decisions.action,
        amounts=decisions.amounts,
        matured=decisions.matured,
        cluster=decisions.contact,
        step=decisions.step,
        available=decisions.available,
        starts=starts,
    )
