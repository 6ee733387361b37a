"""The typed configuration of the search for what limits cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class PricesConfig(RunConfig):
    """A run's settings, and what its policy may use up."""

    # Most events per contact on average, >= 0, by `send` (every mail) or a signal's name. The
    # journey's own `limits` come beside them.
    at_most: dict[str, float] = field(default_factory=dict)
    # Budgets of a week, >= 0, by `send` or a signal's name; `seller_hours` is the time of
    # salespeople. Each becomes a limit per contact, by the contacts that enter in a week.
    per_week: dict[str, float] = field(default_factory=dict)
    entering: float | None = None  # contacts that enter the journey in a week, > 0
    # Hours of a salesperson that one event takes, > 0, by signal, such as `escalated: 0.5`.
    seller_hours: dict[str, float] = field(default_factory=dict)
    # Of what outcomes are drawn against: `send`, or a signal's name; what else is limited is not.
    frontier_of: str = "send"
    # Prices at which policies are learned for the frontier, as shares of what an event brings on
    # average without a price; each > 0.
    frontier: list[float] = field(default_factory=lambda: [0.25, 0.5, 1.0, 2.0])
    trainings: int = 8  # most policies learned in search of the prices, beside the frontier's, >= 1
    tolerance: float = 0.02  # share of the value; a gain up to it ends the search, in [0, 1)
