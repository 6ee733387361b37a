"""Results of an off-policy evaluation, and their form as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite

import numpy as np

from nurture_rl.appraisal.selection.choice import EstimatorChoice
from nurture_rl.appraisal.verdict import Judgement
from nurture_rl.ope.diagnostics import Overlap
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import Difference, Interval
from nurture_rl.ope.log import FloatArray, IntArray

LOGGED = "logged"  # the name of the logging policy itself, whose value is the log's own mean

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, eq=False)
class Estimated:
    """An estimate with its interval."""

    estimate: ValueEstimate
    interval: Interval


@dataclass(frozen=True, slots=True, eq=False)
class PolicyEvaluation:
    """What the log says about one policy."""

    name: str
    estimates: Mapping[str, Estimated]  # by estimator; refused ones are absent
    refusals: Mapping[str, str]  # why an estimator gave no number, by estimator
    overlap: Overlap
    action_mix: FloatArray  # mean target probability by bin over the log's contexts, [S, a]
    basis: str | None  # estimator that differences and verdict rest on; None where it has no answer
    difference: Difference | None  # to the reference, by `basis`; None for the reference
    against_rules: Difference | None  # to the rules; None for them, or where there are none
    judgement: Judgement | None  # against the reference; None for the reference


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What the log says about several policies, all compared with one reference."""

    unit: str  # of every value, per episode
    level: float  # stated coverage of every interval
    reference: str  # a policy's name, or "logged"
    n_decisions: int
    n_episodes: int
    n_clusters: int  # contacts
    horizon: int  # decisions in the longest episode
    steps: IntArray  # bins in the log, ascending, [S]
    logged: Estimated  # the logging policy's own value
    logged_mix: FloatArray  # share of each logged action by bin, [S, a]
    policies: Mapping[str, PolicyEvaluation]
    preferred: str  # the estimator that differences and verdicts rest on where it has an answer
    selection: EstimatorChoice | None  # what estimators err here; None where one was named


def plain(value: object) -> Json:
    """Any record as JSON values: arrays become lists, enums text, influences are left out."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return {
        field.name: plain(getattr(value, field.name))
        for field in fields(value)  # type: ignore[arg-type]
        if field.name != "influence"
    }
