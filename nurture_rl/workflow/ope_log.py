"""The log an evaluation reads, whatever it came from, and what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.errors import ConfigError
from nurture_rl.interchange.admission import Admission, reasons_counted
from nurture_rl.interchange.logged_rows import RefusedRow
from nurture_rl.ope.log import EvaluationLog, first_rows
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy

if TYPE_CHECKING:
    from nurture_rl.workflow.ope_config import OpeConfig

Labels = NDArray[np.object_]
LEVELS = 8  # most groups of a feature that is broken down by
FEW_ROWS = 1_000  # in which most features with more levels show it


@dataclass(frozen=True, slots=True, eq=False)
class OpenedLog:
    """A log and its target policies, ready to be judged."""

    log: EvaluationLog
    policies: Mapping[str, TargetPolicy | TabulatedPolicy]
    reference: str  # a policy's name, or "logged"
    rules: str | None
    candidates: tuple[str, ...] | None  # may be put forward; None: all but reference and rules
    beside: LogAnnotations
    facts: Mapping[str, Any]  # about the source, for the report
    refused: tuple[RefusedRow, ...] = field(default=())


def of_admission(
    admission: Admission,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    run: OpeConfig,
) -> OpenedLog:
    """A foreign log, with the policies it is asked about.

    Args:
        admission: the checked rows.
        policies: target policies, those given as columns included.
        run: what it is asked, and each action's level by factor.

    Raises:
        ConfigError: a factor that leaves an action out.
    """
    first = first_rows(admission.log)
    segments = {name: labels[first] for name, labels in admission.segments.items()}
    if not segments:
        segments = few_levels(admission.log, admission.meaning.features)
    return OpenedLog(
        log=admission.log,
        policies=policies,
        reference=run.ask.reference or LOGGED,
        rules=run.ask.rules,
        candidates=None,
        beside=LogAnnotations(
            day=admission.day,
            segments=segments,
            harms=admission.outcomes,
            factors=_levels(run.data.levels, admission.meaning.actions),
            features=admission.meaning.features,
            actions=admission.meaning.actions,
        ),
        facts={
            "source": admission.source,
            "read": admission.read,
            "kept": admission.log.n_rows,
            "refused": len(admission.refused),
            "reasons": [
                {"kind": kind, "rows": count, "line": row.line, "example": row.reason}
                for kind, count, row in reasons_counted(admission.refused)
            ],
            "notes": list(admission.notes),
            "fingerprint": admission.fingerprint,
        },
        refused=admission.refused,
    )


def _levels(given: Mapping[str, Any], actions: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    levels_of = {}
    for factor, by_action in given.items():
        if not isinstance(by_action, Mapping):
            raise ConfigError(
                f"data.levels.{factor}: expected the level of each action, got {by_action!r}"
            )
        known = {str(action): str(level) for action, level in by_action.items()}
        lacking = [action for action in actions if action not in known]
        if lacking:
            raise ConfigError(f"data.levels.{factor}: expected a level of {', '.join(lacking)} too")
        levels_of[str(factor)] = tuple(known[action] for action in actions)
    return levels_of


def few_levels(log: EvaluationLog, names: tuple[str, ...], most: int = 4) -> dict[str, Labels]:
    """Features that take few values at episodes' first decisions, as labels of the episodes.

    Args:
        log: the decisions.
        names: of the features, [d].
        most: features that are kept, the first ones.
    """
    first = log.features[first_rows(log)]
    segments: dict[str, Labels] = {}
    for name, column in zip(names, first.T, strict=True):
        if len(segments) == most:
            break
        if np.unique(column[:FEW_ROWS]).size > LEVELS:
            continue  # no need to sort all of it
        levels, level = np.unique(column, return_inverse=True)
        if 2 <= levels.size <= LEVELS:
            segments[name] = np.array([f"{value:g}" for value in levels], dtype=object)[level]
    return segments
