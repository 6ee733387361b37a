"""The pipeline's reality gap: whom it replays, and what the gate hears of it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from experiments.common.played import played_data
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.codec import to_record
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.gate import CandidateDifference
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.gap.trust import Cause, GapVerdict, NamedCause, Trust
from nurture_rl.workflow.candidates import world_judgement
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.gap import known_logging, read_gap
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.simulated import WorldRow
from tests.unit.workflow.judged_by_hand import played

CONFIGS = Path(__file__).parents[3] / "configs"
JOURNEY = load_journey("inbound_lead")
DRIP = {"kind": "drip"}
CONTEXT = context_beside(Path(), JOURNEY)


@lru_cache(maxsize=1)
def log_of_drip() -> WorldData:
    context = PolicyContext(JOURNEY, ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY))
    return played_data(reference_simulation(JOURNEY), build_policy(DRIP, context), 30, 1)


def test_the_configured_policy_is_replayed_where_the_log_is_its_own() -> None:
    found = known_logging(DRIP, CONTEXT, log_of_drip())
    assert found is not None
    assert found.spec() == DRIP


def test_a_log_of_another_policy_is_not_replayed_by_the_configured_one() -> None:
    assert known_logging({"kind": "random"}, CONTEXT, log_of_drip()) is None
    assert known_logging(None, CONTEXT, log_of_drip()) is None


def test_a_log_without_propensities_contradicts_nobody() -> None:
    silent = replace(log_of_drip(), propensity=np.full(len(log_of_drip().action), np.nan))
    assert known_logging({"kind": "random"}, CONTEXT, silent) is not None


def cause(name: str, symptom: bool = False) -> NamedCause:
    return NamedCause(Cause(name), 1.0, 0.0, f"About {name}.", fatal=True, symptom=symptom)


PLAYED = to_record(played(9.0, 2.25, None), WorldRow)


def test_the_gate_hears_of_every_cause_that_is_no_symptom() -> None:
    causes = (cause("leaked_feature"), cause("missing_delays"), cause("wrong_rates", symptom=True))
    found = world_judgement(GapVerdict(Trust.NOTHING, causes, "Do not."), PLAYED)
    assert found.trust is Trust.NOTHING
    assert found.cause == "leaked_feature, missing_delays"
    assert found.sentence == "About leaked_feature. About missing_delays."


def test_the_worst_member_goes_to_the_gate_with_its_bounds() -> None:
    found = world_judgement(GapVerdict(Trust.RANKING, (), "Go ahead."), PLAYED)
    assert (found.cause, found.sentence) == (None, "Go ahead.")
    assert found.worst == CandidateDifference(2.0, 0.5, 3.25, 0.975)


def tiny(runs: Path) -> Settings:
    GlobalHydra.instance().clear()
    register_schemas()
    given = ["experiment=small", "data.contacts=300", "world.training.epochs=1", f"runs={runs}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("gap", overrides=[*given, "gap.fewest_episodes=200"]))


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A log of 300 contacts."""
    return Pipeline(tiny(tmp_path_factory.mktemp("runs")), lambda line: None)


@pytest.fixture(scope="module")
def made(loop: Pipeline) -> Path:
    """The stage on this log."""
    return loop.gap


@pytest.mark.slow
def test_a_tiny_log_is_held_against_its_world_and_found_too_small(made: Path) -> None:
    found = read_gap(made)
    causes = {one["cause"] for one in found["verdict"]["causes"]}
    assert found["verdict"]["trust"] == "do_not_trust"
    assert "too_few_data" in causes
    assert found["evidence"]["notes"] == []  # the logging policy is known, the starts are taken


def test_only_held_out_contacts_are_compared(made: Path) -> None:
    evidence = read_gap(made)["evidence"]
    (ingested,) = made.parent.glob("ingest-*")
    with np.load(ingested / "starts.npz", allow_pickle=False) as stored:
        share = stored["held_out"]
    assert evidence["contacts"] == (share < 0.5).sum()
    assert evidence["fitted_on"] == (share >= 0.5).sum()


@pytest.mark.slow
def test_the_stage_is_told_as_page_summary_and_numbers(loop: Pipeline, made: Path) -> None:
    page = loop.gap_page
    assert "Do not trust it" in (page / "gap.html").read_text("utf-8")
    assert "**Do not trust it.**" in (page / "gap.md").read_text("utf-8")
    assert json.loads((page / "gap.json").read_text("utf-8")) == read_gap(made)
    assert read_gap(made)["journey"] == "inbound_lead"
