"""How much of an estimate hangs on few episodes, and on actions the log never showed."""

from __future__ import annotations

from math import isfinite

import numpy as np

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, graded
from nurture_rl.ope.estimators import effective_sample_size
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.targets import TargetOnLog

TOP_SHARE = 0.001  # of episodes, whose weight is added up
CLOSER = "stay closer to the logging policy, or log with more exploration of what the target does"


def hill_index(weights: FloatArray, top: int) -> float:
    """Tail index of the weights: moments of a lower order exist, of a higher one do not.

        index = 1 / mean of ln(w_(i) / w_(top+1)) over the `top` largest

    Args:
        weights: positive or zero, [n].
        top: how many of the largest make the tail, in 1 .. n - 1.

    Returns:
        The index; infinite where the largest weights are equal, as where they have a bound.

    Source: Hill (1975), A Simple General Approach to Inference about the Tail of a Distribution.
    """
    ordered = _largest(weights, top + 1)[::-1]
    if ordered[-1] <= 0.0:
        return float("inf")
    slope = float(np.log(ordered[:-1] / ordered[-1]).mean())
    return 1.0 / slope if slope > 0.0 else float("inf")


def top_mass(weights: FloatArray, share: float) -> float:
    """Share of all weight on the heaviest `share` of episodes, at least one of them."""
    count = max(int(np.ceil(share * weights.size)), 1)
    total = float(weights.sum())
    return float(_largest(weights, count).sum()) / total if total > 0.0 else 1.0


def _largest(weights: FloatArray, count: int) -> FloatArray:
    """The largest weights in ascending order, without sorting the others, [count]."""
    first = weights.size - count
    return np.sort(np.partition(weights, first)[first:])


def tail_findings(weights: FloatArray, thresholds: CheckThresholds) -> list[Finding]:
    """Effective sample size, largest share, heaviest 0.1 % and tail index of final weights, [E]."""
    ess, n = effective_sample_size(weights), weights.size
    largest = float(weights.max() / weights.sum()) if ess > 0.0 else 1.0
    mass = top_mass(weights, TOP_SHARE)
    top = min(max(int(np.sqrt(n)), 10), n - 1)
    index = hill_index(weights, top) if n > 1 else float("inf")
    heavy = mass > max(thresholds.max_top_mass, 2.0 * TOP_SHARE)
    fat = index < thresholds.min_tail_index
    return [
        *size_findings(ess, n, largest, thresholds),
        Finding(
            "top-mass",
            graded(heavy, Severity.WARN),
            {"mass": mass, "most": thresholds.max_top_mass},
            f"the heaviest 0.1 % of episodes carry {mass:.1%} of all weight",
            "read intervals with their reason; a clipped estimate beside them shows what hangs on "
            "these episodes"
            if heavy
            else "",
        ),
        Finding(
            "tail-index",
            graded(fat, Severity.WARN),
            {"index": index, "top": float(top), "least": thresholds.min_tail_index},
            _tail_sentence(index, top, fat),
            "trust neither standard error nor interval of plain weights; shrink or clip them"
            if fat
            else "",
        ),
    ]


def size_findings(ess: float, n: int, largest: float, thresholds: CheckThresholds) -> list[Finding]:
    """Effective sample size of n episodes, and the largest one's share of all weight."""
    few, ruled = ess < thresholds.min_ess, largest > thresholds.max_weight_share
    return [
        Finding(
            "ess",
            graded(few, Severity.REFUSE),
            {"ess": ess, "episodes": float(n), "least": thresholds.min_ess},
            f"the weighted log is worth {ess:.1f} of its {n} episodes, "
            f"{'fewer' if few else 'no fewer'} than {thresholds.min_ess:.0f}",
            CLOSER if few else "",
        ),
        Finding(
            "weight-share",
            graded(ruled, Severity.REFUSE),
            {"share": largest, "most": thresholds.max_weight_share},
            f"one episode carries {largest:.1%} of all weight",
            CLOSER if ruled else "",
        ),
    ]


def _tail_sentence(index: float, top: int, fat: bool) -> str:
    if not isfinite(index):
        return (
            f"the {top} largest weights are all alike, or no more than these are above 0: they "
            "have no tail, and their variance exists"
        )
    return (
        f"the tail index of the weights is {index:.2f} over the {top} largest: their variance "
        f"{'may not exist' if fat else 'exists'}"
    )


def support_finding(
    log: EvaluationLog, target: TargetOnLog, context: LogContext, thresholds: CheckThresholds
) -> Finding | None:
    """Target mass on actions the log gave no chance; None where the log lacks its distributions."""
    if target.unsupported is None or log.logged_probabilities is None:
        return None
    gap = float(target.unsupported.mean())
    wide = gap > thresholds.max_support_gap
    by_action = np.where(log.logged_probabilities > 0.0, 0.0, target.probabilities).mean(axis=0)
    worst = int(np.argmax(by_action))
    where = f", most on {context.action(worst)} ({by_action[worst]:.1%})" if gap > 0.0 else ""
    return Finding(
        "support-gap",
        graded(wide, Severity.REFUSE),
        {"gap": gap, "most": thresholds.max_support_gap},
        f"{gap:.1%} of the target's choices fall on actions the log gave no chance{where}",
        "log these actions with some probability, or take them from the target" if wide else "",
    )
