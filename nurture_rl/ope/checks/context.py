"""What is known about a log beside its decisions: when, by whom, and whether outcomes are in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import BoolArray, EvaluationLog, IntArray


@dataclass(frozen=True, slots=True)
class OpenEpisodes:
    """Episodes that were still open when the log ends, and what was done about them."""

    open: int
    late: int  # over, but begun so late that they might be open: as late as those that are
    episodes: int  # all
    largest_weight: float | None  # of a finished one that stands in for open ones; None: left out


@dataclass(frozen=True, slots=True, eq=False)
class LogContext:
    """Columns beside an evaluation log; checks that need a missing one are left out."""

    week: IntArray | None = None  # week of each decision, any origin, [N]
    logger: NDArray[np.str_] | None = None  # policy that took each decision, [N]
    matured: BoolArray | None = None  # whether the decision's outcome is in, [N]
    feature_names: tuple[str, ...] = ()  # [d]; positions where empty
    action_ids: tuple[str, ...] = ()  # [a]; positions where empty
    values: tuple[float, ...] = ()  # numbers that are no code for missing, however they look
    open_episodes: OpenEpisodes | None = None  # None: not known, or none

    def feature(self, position: int) -> str:
        """A feature's name, or its position."""
        return self.feature_names[position] if self.feature_names else f"feature {position}"

    def action(self, position: int) -> str:
        """An action's name, or its position."""
        return self.action_ids[position] if self.action_ids else f"action {position}"


def require_fit(log: EvaluationLog, context: LogContext) -> None:
    """Check that the columns belong to the log.

    Raises:
        ShapeError: a column or a list of names of another length.
    """
    n = log.n_rows
    columns = {"week": context.week, "logger": context.logger, "matured": context.matured}
    for name, column in columns.items():
        if column is not None and column.shape != (n,):
            raise ShapeError(
                f"{name} must be [{n}], one per decision of the log, got {column.shape}; sort it "
                "together with the log"
            )
    lists = (
        ("feature_names", context.feature_names, log.features.shape[1]),
        ("action_ids", context.action_ids, log.n_actions),
    )
    for name, given, expected in lists:
        if given and len(given) != expected:
            raise ShapeError(f"{name} must name {expected}, got {len(given)}; give all or none")


def groups(values: NDArray[np.generic]) -> tuple[list[str], IntArray]:
    """Names of the groups in a column, sorted, and each row's group, [N]."""
    names, place = np.unique(values, return_inverse=True)
    return [str(name) for name in names.tolist()], place.astype(np.int64)
