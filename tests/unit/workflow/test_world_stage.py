"""The pipeline's world counts late records and weighs decisions unless it is told not to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.decisions import Decisions
from nurture_rl.errors import ConfigError
from nurture_rl.workflow import world_stage
from nurture_rl.workflow.side_by_side import Crew
from nurture_rl.workflow.stages import Workshop
from tests.unit.simulator.lamp_shop import QUICK, lamp_shop, starts
from tests.unit.simulator.test_recording_delays import log_read_early

JOURNEY = lamp_shop()


def decisions() -> Decisions:
    """600 contacts entering over ten days, read early; those of the last tenth are held out."""
    data = log_read_early(3_600, seed=30)
    probabilities = np.tile([0.4, 0.5, 0.05, 0.05], (len(data.action), 1))
    return replace(
        data,
        propensity=probabilities[np.arange(len(data.action)), data.action],
        probabilities=probabilities,
        held_out=data.cluster >= 540,
        when=20_000 + data.cluster % 10,
    )


def made(tmp_path: Path, **config: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calibration and evidence of the stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_stage, "load_decisions", lambda *_: decisions())
        patch.setattr(world_stage, "start_table", lambda *_: starts(JOURNEY))
        workshop = Workshop(tmp_path, lambda line: None)
        settings = replace(QUICK, **config)  # type: ignore[arg-type]
        folder = world_stage.learned_world(
            workshop, JOURNEY, tmp_path / "ingested", 0.5, settings, 0, Crew()
        )
    files = (folder / name for name in ("calibration.json", "evidence.json"))
    calibration, evidence = (json.loads(file.read_text("utf-8")) for file in files)
    return calibration, evidence


def test_late_bins_count_and_decisions_are_weighted_where_asked(tmp_path: Path) -> None:
    calibration, evidence = made(tmp_path, weighting="propensity")
    assert evidence["rows"] == 540 * 6
    assert evidence["not_matured"] > 300
    assert evidence["weighted"]
    assert evidence["delays"]["bought"]["mean_bins"] > 1.0
    assert len(calibration["heads"]) == len(calibration["later_days"]["heads"]) == 6


def test_the_world_is_judged_on_days_after_those_it_was_fitted_to(tmp_path: Path) -> None:
    calibration, _ = made(tmp_path)
    later = calibration["later_days"]
    assert calibration["from_day"] is None
    assert later["from_day"] == 20_008
    assert later["contacts"] == 108  # of 540, those who entered on the last two of ten days


def test_weights_are_off_unless_asked_for_and_delays_can_be_taken_as_declared(
    tmp_path: Path,
) -> None:
    _, evidence = made(tmp_path, delays="declared")
    assert evidence["not_matured"] == 0
    assert not evidence["weighted"]
    assert evidence["delays"] == {}


def test_a_misspelt_switch_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"world\.weighting: expected one of propensity, none"):
        made(tmp_path, weighting="propensities")
    assert not list(tmp_path.iterdir())
