"""Everything the checks measured, before anybody judged it."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.simulator.calibration import Calibration
from nurture_rl.simulator.gap.compare import Comparison
from nurture_rl.simulator.gap.fatigue import HalfLives
from nurture_rl.simulator.gap.leakage import Leak
from nurture_rl.simulator.gap.one_step import ArmEffect
from nurture_rl.simulator.gap.propensities import PropensityCheck
from nurture_rl.simulator.gap.surfaces import Curve
from nurture_rl.simulator.gap.survival import SurvivalCurves
from nurture_rl.simulator.gap.two_sample import TwoSampleTest


@dataclass(frozen=True, slots=True)
class DelayShares:
    """Share of a signal's events known 0, 1, ... bins late."""

    head: str
    real: tuple[float, ...]
    simulated: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HourTable:
    """Share of sends answered by weekday and local hour, [7][24]; None where none was sent."""

    head: str  # type of the answer
    real: tuple[tuple[float | None, ...], ...]
    simulated: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a world and a held-out log say of each other."""

    episodes: int  # held out
    contacts: int  # held out
    simulated_episodes: int
    main: tuple[str, ...]  # heads that carry money, end episodes or make a key figure
    read: tuple[str, ...]  # heads that anything reads: gaps of others cannot matter
    star: tuple[str, ...]  # heads of the north star
    star_events: float  # in the held-out log
    fitted_on: int | None  # episodes whose starts the world was fitted with
    unlearned: tuple[str, ...]  # heads frequent in the held-out log that the world never learned
    effective_share: float  # of the log's episodes under the replayed policy
    comparisons: tuple[Comparison, ...]
    curves: tuple[Curve, ...]
    half_lives: HalfLives | None
    survival: tuple[SurvivalCurves, ...]
    hours: tuple[HourTable, ...]
    delays: tuple[DelayShares, ...]
    delays_known: bool  # the log says when events became known
    two_sample: TwoSampleTest
    propensities: PropensityCheck
    leaks: tuple[Leak, ...]
    effects: tuple[ArmEffect, ...]  # none of worlds with a hidden state
    disagreement: tuple[tuple[str, float], ...]  # of the members, by head
    calibration: Calibration | None
    notes: tuple[str, ...]  # what could not be checked, or was assumed
