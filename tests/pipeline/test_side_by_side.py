"""The loop comes out the same to the last bit, however many work on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.side_by_side import Crew
from nurture_rl.workflow.stages import RECORD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # two whole loops

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ["data.contacts=300", "world.training.epochs=1", "gap.fewest_episodes=200"]
TINY += ["ppo.iterations=1", "ppo.n_contacts=32", "tuned.plays=3", "tuned.contacts=32"]
TINY += ["simulation.contacts=20", "simulation.truth_contacts=50"]
TINY += ["~policies.no_contact", "~policies.random"]


def tiny(runs: Path, workers: int) -> Settings:
    GlobalHydra.instance().clear()
    register_schemas()
    given = ["experiment=small", *TINY, f"runs={runs}", f"workers={workers}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("pipeline", overrides=given))


def made(runs: Path, workers: int) -> tuple[dict[str, bytes], list[str]]:
    """Every file of the stages up to the gate, and the lines that were said."""
    said: list[str] = []
    with Crew(workers, said.append) as crew:
        pipeline = Pipeline(tiny(runs, workers), crew.say, crew=crew)
        assert pipeline.world.is_dir()
        pipeline.begin()
        assert (pipeline.released / "gate.json").is_file()
    stages = runs / "stages"
    files = [path for path in stages.rglob("*") if path.is_file()]
    return {str(path.relative_to(stages)): path.read_bytes() for path in files}, said


def test_workers_change_no_bit_and_no_name_of_what_is_made(tmp_path: Path) -> None:
    alone, told = made(tmp_path / "alone", 1)
    pair, said = made(tmp_path / "pair", 2)
    assert set(alone) == set(pair)
    records = {name for name in alone if name.endswith(RECORD)}
    assert {name for name in set(alone) - records if alone[name] != pair[name]} == set()
    assert all(inputs(alone[name]) == inputs(pair[name]) for name in records)
    assert headings(told) == headings(said)


def inputs(record: bytes) -> object:
    """What a stage was made of, without how long it took."""
    return json.loads(record)["inputs"]


def headings(lines: list[str]) -> list[str]:
    """The stages that were worked on."""
    return sorted(line for line in lines if line.endswith(": working"))
