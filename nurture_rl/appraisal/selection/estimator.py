"""The door of estimator selection."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nurture_rl.appraisal.selection.choice import EstimatorChoice
from nurture_rl.appraisal.selection.ocv import OcvConfig, select_by_cross_validation
from nurture_rl.appraisal.selection.paired import PairedConfig, select_by_pairing
from nurture_rl.appraisal.selection.pas_if import PasIfConfig, select_by_subsampling
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.suite import Estimator


def select_estimator(
    log: EvaluationLog,
    targets: Mapping[str, FloatArray],
    estimators: Mapping[str, Estimator],
    rng: np.random.Generator,
    config: PairedConfig | OcvConfig | PasIfConfig,
) -> EstimatorChoice:
    """Choose the estimator to believe on a log for some targets, by the method of the config.

    `PairedConfig` costs one evaluation and errs least where consistent estimators are among the
    candidates: the method to begin with. `OcvConfig` presumes nothing of the candidates.
    `PasIfConfig` keeps the shift from logging to target, and needs single decisions and the whole
    logged distribution. Arguments and errors are those of the three functions.
    """
    if isinstance(config, PairedConfig):
        return select_by_pairing(log, targets, estimators, rng, config)
    if isinstance(config, OcvConfig):
        return select_by_cross_validation(log, targets, estimators, rng, config)
    return select_by_subsampling(log, targets, estimators, rng, config)
