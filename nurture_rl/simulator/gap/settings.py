"""What counts as a gap that matters."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from nurture_rl.errors import ConfigError
from nurture_rl.simulator.gap.leakage import LeakLimits
from nurture_rl.simulator.gap.rates import Margins


@dataclass(frozen=True, slots=True)
class GapLimits:
    """From where on a check speaks against a world."""

    impossible: float = 0.001  # share of propensities that cannot be
    slope: float = 0.8  # of actions taken on propensities stated; 1 where they are true
    star_events: int = 30  # events of the north star in the held-out log
    fitted_episodes: int = 200  # training episodes from which a world can be fitted
    judged_events: int = 50  # held-out events from which a head should have been learned
    same_fatigue: float = 0.001  # chance below which log and world have no common fatigue
    half_life_factor: float = 1.5  # between the half-lives of fatigue in log and world, >= 1
    minor_heads: float = 0.1  # share of the signals read whose rates may be off somewhere
    disagreement: float = 0.5  # spread of the members' chances as a share of their mean
    proof: float = 2.0  # margins within which the interval of what rankings rest on must lie


@dataclass(frozen=True, slots=True)
class GapConfig:
    """How a world is held against a log.

    Raises:
        ConfigError: a margin, share or number of episodes under which no comparison has a meaning.
    """

    margins: Margins = field(default_factory=Margins)
    limits: GapLimits = field(default_factory=GapLimits)
    leaks: LeakLimits = field(default_factory=LeakLimits)
    false_discoveries: float = 0.05  # share of the differences found that may be none
    false_curves: float = 0.01  # the same among response curves, any of which is fatal
    ratio: float = 2.0  # simulated episodes per logged one
    fewest_episodes: int = 4_000  # simulated, however small the log
    most_episodes: int = 40_000  # simulated, however large the log

    def __post_init__(self) -> None:
        for margin in fields(self.margins):
            value = getattr(self.margins, margin.name)
            _require(value > 0.0, f"margins.{margin.name}", "above 0", value)
        for name in ("false_discoveries", "false_curves"):
            value = getattr(self, name)
            _require(0.0 < value < 1.0, name, "between 0 and 1", value)
        for name in ("fewest_episodes", "most_episodes"):
            value = getattr(self, name)
            _require(value >= 1, name, "of at least 1", value)
        _require(self.ratio > 0.0, "ratio", "above 0", self.ratio)


def _require(holds: bool, name: str, wanted: str, value: float) -> None:
    if not holds:
        raise ConfigError(f"gap.{name}: expected a number {wanted}, got {value}; mend the setting")
