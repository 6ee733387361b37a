"""From a log of one policy, both learners find policies truly better than business as usual."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from numpy.typing import NDArray

from nurture_envs.rollout import returns
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

FloatArray = NDArray[np.float64]
CONFIGS = Path(__file__).parents[2] / "configs"
CONTACTS, SEED = 8000, 31_337  # played in the true world; no log was made from them
SIZE = (
    "experiment=small",
    "data.contacts=4000",
    "ppo.iterations=12",
    "ppo.n_contacts=1024",
    "world.training.epochs=30",
)


def trained_here(runs: Path) -> Pipeline:
    """The whole loop up to the policies, on one thread."""
    GlobalHydra.instance().clear()
    register_schemas()
    unasked = ("~policies.no_contact", "~policies.random", "~policies.rules")
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("pipeline", overrides=[*SIZE, *unasked, f"runs={runs}"])
    torch.set_num_threads(1)
    return Pipeline(settings(config), lambda line: None)


@pytest.fixture(scope="module")
def value(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FloatArray]:
    """Each policy's return from every contact of the true world; the same contacts and luck."""
    pipeline = trained_here(tmp_path_factory.mktemp("runs"))
    truth = reference_simulation(pipeline.journey)
    return {
        name: returns(truth, load_policy(folder, pipeline.journey), CONTACTS, SEED).value
        for name, folder in pipeline.policies.items()
    }


@pytest.mark.parametrize("name", ["linear_thompson", "ppo"])
def test_a_trained_policy_beats_drip_in_the_world_that_made_its_log(
    value: dict[str, FloatArray], name: str
) -> None:
    gain = value[name] - value["drip"]
    half = 1.96 * gain.std(ddof=1) / np.sqrt(CONTACTS)
    assert gain.mean() - half > 0.0, f"{gain.mean():.2f} +- {half:.2f} EUR per contact"
