"""One-step decisions as columns, and what can be wrong with one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import LogError, ShapeError
from nurture_rl.ope.contact_hash import HashArray
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, horizon
from nurture_rl.ope.log_checks import TOLERANCE
from nurture_rl.ope.value_model import ValuePredictions

FAULTS = (
    "sound",
    "no contact",
    "no propensity",
    "propensity outside (0, 1]",
    "reward missing or not finite",
    "target probability missing or outside [0, 1]",
    "prediction missing or not finite",
    "group code missing or negative",
    "action unknown or forbidden by its mask",
    "logged probabilities are no distribution over the legal actions",
    "propensity is not what the logged probabilities say",
)
_FIRST_FAULT, _GROUP_FAULT = 2, 7
FaultArray = NDArray[np.int8]  # positions in FAULTS; 0 where a row can be used


@dataclass(frozen=True, slots=True, eq=False)
class DecisionColumns:
    """Decisions of which each is an episode, as far as estimators need them."""

    contact: HashArray  # 64-bit number of the contact, [n]
    taken: FloatArray  # target probability of the logged action, [n]
    propensity: FloatArray  # [n]
    reward: FloatArray  # [n]
    q_logged: FloatArray  # modelled reward of the logged action, 0 without a model, [n]
    value: FloatArray  # modelled reward under the target, [n]
    groups: Mapping[str, IntArray] = field(default_factory=dict)  # codes from 0, each [n]

    def take(self, index: IntArray | slice) -> DecisionColumns:
        """Some of the rows."""
        return DecisionColumns(
            self.contact[index],
            self.taken[index],
            self.propensity[index],
            self.reward[index],
            self.q_logged[index],
            self.value[index],
            {name: codes[index] for name, codes in self.groups.items()},
        )


def rows_of_log(
    log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions
) -> DecisionColumns:
    """The decisions of a checked log whose episodes have one decision each.

    Raises:
        ShapeError: an episode has more.
    """
    if horizon(log) > 1:
        raise ShapeError(
            f"sums are for one-step decisions, got episodes of up to {horizon(log)}; pass the log "
            "through `as_single_decisions`, or use the estimators in memory"
        )
    contact = log.cluster[log.episode].astype(np.uint64)
    return DecisionColumns(
        contact, taken, log.propensity, log.reward, predictions.q_logged, predictions.value
    )


def faults(rows: DecisionColumns) -> FaultArray:
    """What is wrong with each row, the first thing found; 0 where nothing is, [n]."""
    p, t = rows.propensity, rows.taken
    checks = [
        np.isnan(p),
        ~((p > 0.0) & (p <= 1.0 + TOLERANCE)),
        ~np.isfinite(rows.reward),
        ~((t >= 0.0) & (t <= 1.0 + TOLERANCE)),
        ~(np.isfinite(rows.q_logged) & np.isfinite(rows.value)),
        *(codes < 0 for codes in rows.groups.values()),
    ]
    reasons = np.zeros(p.size, dtype=np.int8)
    for place, bad in enumerate(checks):
        if bad.any():
            reason = min(_FIRST_FAULT + place, _GROUP_FAULT)
            reasons = np.where((reasons == 0) & bad, reason, reasons).astype(np.int8)
    return reasons


def require_sound(rows: DecisionColumns) -> None:
    """Refuse rows of which one cannot be used.

    Raises:
        ShapeError: columns of different lengths.
        LogError: a row is at fault.
    """
    columns = (rows.taken, rows.propensity, rows.reward, rows.q_logged, rows.value)
    shapes = {rows.contact.shape, *(column.shape for column in (*columns, *rows.groups.values()))}
    if shapes != {(rows.contact.size,)}:
        raise ShapeError(f"expected columns of one length, got {sorted(shapes)}")
    reasons = faults(rows)
    bad = np.flatnonzero(reasons)
    if bad.size:
        raise LogError(
            f"{bad.size} of {reasons.size} decisions cannot be used, first row {bad[0]}: "
            f"{FAULTS[reasons[bad[0]]]}; leave them out knowingly, or log them again"
        )
