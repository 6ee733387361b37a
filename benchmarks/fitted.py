"""A learned world to time, fitted by the pipeline and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hydra import compose, initialize_config_dir

from nurture_envs.worlds.world import World
from nurture_rl.simulator.world_files import load_learned_world
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

ROOT = Path(__file__).resolve().parents[1]


def fitted_world(
    journey: str, contacts: int, runs: Path, say: Callable[[str], None], device: str = "cpu"
) -> World:
    """An ensemble fitted to a small log of the reference world; kept under `runs`.

    The fit is short: how fast a world answers does not depend on how well it was fitted.
    """
    register_schemas()
    overrides = [
        f"data.journey={journey}",
        f"data.contacts={contacts}",
        "data.logging=random",
        "world.members=5",
        "world.training.epochs=2",
        f"runs={runs}",
    ]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        checked = settings(compose("fit_world", overrides=overrides))
    pipeline = Pipeline(checked, say)
    return load_learned_world(pipeline.world / "world", pipeline.journey, device)
