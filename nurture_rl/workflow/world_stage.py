"""From the decision table to a learned world."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.learned import LearnedWorld, StartTable
from nurture_rl.decisions import load_decisions, world_rows
from nurture_rl.simulator.calibration import Calibration
from nurture_rl.simulator.data import ContactSplit, WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.judging import judge_later_days
from nurture_rl.simulator.network_training import Progress
from nurture_rl.simulator.training_data import require_words, training_data
from nurture_rl.simulator.world_files import load_learned_world, save_world

if TYPE_CHECKING:
    from nurture_rl.workflow.side_by_side import Crew
    from nurture_rl.workflow.stages import Say, Workshop


def learned_world(
    workshop: Workshop,
    journey: Journey,
    ingested: Path,
    held_out: float,
    config: WorldConfig,
    seed: int,
    crew: Crew,
) -> Path:
    """Fit a world to the training contacts, its members side by side.

    The folder holds `world/`, `calibration.json` (on contacts not fitted to; `later_days` of a
    second fit of one member, on days not fitted to, or null) and `evidence.json` (what the world
    was fitted to, and what weakens it).

    Raises:
        ConfigError: `config` has a word that means nothing.
        FitError: the log cannot be fitted to.
    """
    require_words(config.weighting, config.delays)
    inputs = {
        "ingest": ingested.name,
        "held_out": held_out,
        "config": asdict(config),
        "seed": seed,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        decisions = world_rows(load_decisions(ingested, journey, held_out))
        logged = WorldData.of(decisions, start_table(ingested, held_out))
        made = training_data(logged, journey, config.weighting, config.delays)
        for warning in made.summary(journey)["warnings"]:
            workshop.say(f"  {warning}")

        given = (made.data, journey, replace(config, members=1), seed, crew.say)
        judging = crew.begin("world, later days held out", _on_later_days, *given)
        progress = _told(workshop.say)
        fitted = fit_world(made.data, journey, config, seed, progress, crew.workers)
        later = judging.result()
        save_world(fitted.world, out / "world")
        judged = asdict(fitted.calibration) | {"later_days": asdict(later) if later else None}
        (out / "calibration.json").write_text(json.dumps(judged) + "\n", "utf-8")
        told = json.dumps(made.summary(journey), indent=1)
        (out / "evidence.json").write_text(told + "\n", "utf-8")

    return workshop.stage("world", inputs, build)


def _on_later_days(
    data: WorldData, journey: Journey, config: WorldConfig, seed: int, say: Say
) -> Calibration | None:
    def fit(early: WorldData) -> tuple[LearnedWorld, ContactSplit]:
        fitted = fit_world(early, journey, config, seed, _told(say))
        return fitted.world, fitted.split

    return judge_later_days(data, fit)


def _told(say: Say) -> Progress:
    return lambda epoch, loss: say(f"  epoch {epoch + 1}: tuning loss {loss:.5f}")


def learned_simulation(folder: Path, journey: Journey, pessimism: float = 0.0) -> Simulation:
    """The fitted world of a stage, compiled; `pessimism` as in `Simulation`."""
    return Simulation(load_learned_world(folder / "world", journey), pessimism=pessimism)


def start_table(ingested: Path, share: float, held_out: bool = False) -> StartTable:
    """Starting states of the training contacts' episodes, or of those held out.

    Args:
        ingested: folder of the ingested log.
        share: of the contacts that is held out.
        held_out: whose starts.
    """
    with np.load(ingested / "starts.npz", allow_pickle=False) as stored:
        rows = (stored["held_out"] < share) == held_out
        columns = {name: torch.as_tensor(stored[name][rows]) for name in StartTable.__slots__}
    return StartTable(**columns)
