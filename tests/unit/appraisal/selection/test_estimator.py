"""One door, three methods."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.selection.estimator import select_estimator
from nurture_rl.appraisal.selection.ocv import OcvConfig
from nurture_rl.appraisal.selection.paired import PairedConfig
from nurture_rl.appraisal.selection.pas_if import PasIfConfig
from nurture_rl.ope.suite import ESTIMATORS
from nurture_rl.ope.value_model import ValueModelConfig
from tests.unit.appraisal.selection.question_makers import asked_log

MODEL = ValueModelConfig(n_folds=3)


@pytest.mark.parametrize(
    ("config", "method"),
    [
        (PairedConfig(value_model=MODEL), "paired"),
        (OcvConfig(splits=2, value_model=MODEL), "ocv"),
        (PasIfConfig(splits=2, value_model=MODEL), "pas-if"),
    ],
)
def test_the_config_names_the_method(
    config: PairedConfig | OcvConfig | PasIfConfig, method: str
) -> None:
    log, target = asked_log(0, 120)
    chosen = {name: ESTIMATORS[name] for name in ("ips", "snips", "dm", "dr")}
    found = select_estimator(log, {"t": target}, chosen, np.random.default_rng(0), config)
    assert found.method == method
    assert {score.name for score in found.ranking} == set(chosen)
    assert found.name == found.ranking[0].name
