"""How often one policy decides as another does, on decisions that neither was made from."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.ope.clusters import clustered_stderr

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval, clustered by contact."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ActionFidelity:
    """One action of the policy that is imitated."""

    action: str
    taken: int  # decisions in which the policy takes it
    alike: int  # of these, decisions in which the other does so too
    instead: str  # what the other does most often of the rest; empty where there is none


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How alike two policies decide where there is a choice."""

    alike: Share  # of decisions with the same action
    at_stake: Share  # of what depends on the decisions
    decisions: int
    contacts: int
    actions: tuple[ActionFidelity, ...]  # the most frequent first


def fidelity(
    shown: IntArray, taken: IntArray, stake: FloatArray, cluster: IntArray, ids: tuple[str, ...]
) -> Fidelity:
    """Compare decisions.

    Args:
        shown: what the policy that is imitated does, position in the catalogue, [n].
        taken: what the other does, [n].
        stake: what depends on each decision, >= 0, [n].
        cluster: contact or account, any integers, [n].
        ids: of the actions.

    Raises:
        ShapeError: there is no decision, or the arrays do not fit together.
    """
    if not len(shown) or not len(shown) == len(taken) == len(stake) == len(cluster):
        raise ShapeError(
            f"expected decisions that both policies take, got {len(shown)} and {len(taken)}, "
            f"{len(stake)} stakes and {len(cluster)} contacts; give held-out decisions with a "
            "choice"
        )
    code = np.unique(cluster, return_inverse=True)[1]
    same = (shown == taken).astype(np.float64)
    weight = stake if stake.sum() > 0.0 else np.ones(len(same))
    return Fidelity(
        alike=_share(same, np.ones(len(same)), code),
        at_stake=_share(same, weight, code),
        decisions=len(same),
        contacts=int(code.max()) + 1,
        actions=_by_action(shown, taken, ids),
    )


def _share(same: FloatArray, weight: FloatArray, code: IntArray) -> Share:
    """A ratio of sums over contacts, whose error is that of its influences."""
    value = float(weight @ same / weight.sum())
    influence = np.bincount(code, weights=weight * (same - value)) / weight.sum()
    error = clustered_stderr(influence)
    half = NormalDist().inv_cdf(0.5 + _LEVEL / 2.0) * (error if np.isfinite(error) else 1.0)
    return Share(value, max(0.0, value - half), min(1.0, value + half))


def _by_action(
    shown: IntArray, taken: IntArray, ids: tuple[str, ...]
) -> tuple[ActionFidelity, ...]:
    told = []
    counts = np.bincount(shown, minlength=len(ids))
    for action in np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]:
        others = np.bincount(taken[shown == action], minlength=len(ids))
        alike = int(others[action])
        others[action] = 0
        instead = ids[int(others.argmax())] if others.any() else ""
        told.append(ActionFidelity(ids[action], int(counts[action]), alike, instead))
    return tuple(told)
