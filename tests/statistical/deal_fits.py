"""What the logs of stalled deals say of waiting and of stages."""

from __future__ import annotations

import numpy as np

from tests.statistical.world_logs import BoolArray, FloatArray, WorldLog


def idle_days(log: WorldLog) -> FloatArray:
    """Days without a next step at the start of each bin, those before entry included."""
    idle = np.zeros(log.action.shape)
    state, step = log.attribute("days_stalled")[:, 0], log.happened("next_step")
    for bin_ in range(log.action.shape[1]):
        idle[:, bin_] = state
        state = np.where(step[:, bin_], 0.0, state + log.days)
    return idle


def stage_rows(log: WorldLog) -> dict[str, BoolArray]:
    """In which stage a deal is at the start of each bin."""
    entered = {s: log.happened(f"became_{s}") for s in ("no_show", "proposal", "verbal")}
    entered["rescheduled"] = log.happened("became_rescheduled")
    names = list(entered)
    first = np.where(log.attribute("entry=no_show")[:, 0] > 0, 0, 1)
    stage, state = np.zeros(log.action.shape, int), first
    for bin_ in range(log.action.shape[1]):
        stage[:, bin_] = state
        for position, name in enumerate(names):
            state = np.where(entered[name][:, bin_], position, state)
    return {name: np.asarray(log.open & (stage == i)) for i, name in enumerate(names)}
