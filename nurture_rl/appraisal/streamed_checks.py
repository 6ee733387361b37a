"""Checks of a streamed log: by sums over all of it where they can be, else of a sample by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.ope.checks.feasibility import carried_findings
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, LogChecks, Severity
from nurture_rl.ope.checks.grouped import FEWEST, ROUNDING, cautious_p
from nurture_rl.ope.checks.mean_weight import part_finding, ratios_of
from nurture_rl.ope.checks.weight_tail import size_findings
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import Question
from nurture_rl.ope.streaming.contact_blocks import LogRange
from nurture_rl.ope.streaming.moments import WEIGHT, WEIGHT_SQUARED
from nurture_rl.ope.streaming.policy_sums import LogSums, PolicySums


@dataclass(frozen=True, slots=True, eq=False)
class SampledLog:
    """Sums over a log, and those of its decisions that are at hand one by one."""

    sample: EvaluationLog
    sums: LogSums
    contacts: int  # of the log
    actions: tuple[str, ...]  # names, [a]

    @property
    def whole(self) -> bool:
        """Whether the sample is all of the log."""
        return self.sample.n_rows == self.sums.n_rows

    @property
    def range(self) -> LogRange:
        """How far the numbers of every decision reach."""
        least, low = (float(one) for one in self.sums.least)
        free, chance = (int(one) for one in self.sums.chance)
        return LogRange(least, low, float(self.sums.most[0]), free, chance)


def of_sample(checks: LogChecks, sample: int, n_rows: int) -> LogChecks:
    """The findings with the word that they are of so many decisions of all."""
    said = f" (asked of {sample:,} of {n_rows:,} decisions, taken evenly)"
    findings = tuple(replace(one, sentence=one.sentence + said) for one in checks.findings)
    return replace(checks, findings=findings)


def whole_log(checks: LogChecks, n_rows: int, unit: str, reach: LogRange) -> LogChecks:
    """The findings of a sample with those in their place that are of every decision.

    Args:
        checks: of the sample.
        n_rows: decisions of the log.
        unit: of a reward.
        reach: of every decision.
    """
    numbers = {"least": reach.least, "largest_inverse": 1.0 / reach.least}
    sentence = (
        f"all {n_rows} propensities are present, in (0, 1] and of legal actions; the smallest is "
        f"{reach.least:.3g}"
    )
    findings = [Finding("propensities", Severity.OK, numbers, sentence)]
    if reach.low < reach.high:
        sentence = f"rewards differ, from {reach.low:.4g} to {reach.high:.4g} {unit}"
        numbers = {"least": reach.low, "most": reach.high}
        findings.append(Finding("outcomes", Severity.OK, numbers, sentence))
    if reach.chance and checks.exploration is None:
        share = reach.chance / reach.free
        numbers = {"share": share, "free": float(reach.free), "certain_parts": 0.0}
        sentence = f"{share:.1%} of the decisions with a choice were left to chance"
        findings.append(Finding("exploration", Severity.OK, numbers, sentence))
    return in_place(checks, findings)


def whole_target(
    checks: LogChecks, log: SampledLog, name: str, asked: Question, limits: CheckThresholds
) -> LogChecks:
    """The same for a policy: size of the weights, how far they carry, and their mean.

    Args:
        checks: of the policy on the sample.
        log: the sums.
        name: of the policy.
        asked: the policy on the sample.
        limits: when to warn and when to refuse.
    """
    policy, n = log.sums.policies[name], log.sums.n_rows
    total = policy.moments.sums.sum(axis=0)
    weight = float(total[WEIGHT])
    ess = weight**2 / float(total[WEIGHT_SQUARED]) if weight > 0.0 else 0.0
    largest = float(policy.moments.largest) / weight if ess > 0.0 else 1.0
    moment = float(policy.second[0])
    if log.sample.logged_probabilities is None:
        moment = max(moment, float(policy.second[1]))
    shown = 1.0 - float(policy.unsupported) / n
    ratios = np.array([moment / n]), np.array([shown])
    carried, step = carried_findings(n, ratios, [ess], limits)
    findings = [*size_findings(ess, n, largest, limits), *carried]
    findings += _mean_weights(log, policy, asked, limits)
    return replace(in_place(checks, findings), mixing=step)


def _mean_weights(
    log: SampledLog, policy: PolicySums, asked: Question, limits: CheckThresholds
) -> list[Finding]:
    """Mean weights overall and by action; what rounding allows is the sample's share of it."""
    n, held = log.sums.n_rows, log.sums.rows > 0.0
    share = n / log.sample.n_rows
    ratios, action = ratios_of(asked.log, asked.target.probabilities), asked.log.action
    a = log.sample.n_actions
    rounding = np.bincount(action, weights=ratios.rounding, minlength=a) * share
    excess = (policy.seen - policy.mass)[held]
    given = (log.sums.taken > 0.0).sum(axis=0)
    rare = (given < FEWEST) & (log.sample.logged_probabilities is None)
    short = np.maximum(-excess.sum(axis=0), 0.0) * rare
    names = list(log.actions)
    by_action = [
        _tested(
            excess[:, k],
            n,
            float(rounding[k]),
            (float(np.sqrt(policy.unseen[k])), float(short[k])),
        )
        for k in range(a)
    ]
    means, p_values = np.array(by_action, dtype=np.float64).T
    could = float(np.sqrt(policy.unseen.sum())), float(short.sum())
    mean, p = _tested(excess.sum(axis=1), n, float(rounding.sum()), could)
    overall = (np.array([mean]), np.array([p]))
    due = policy.mass.sum(axis=0) / n
    return [
        part_finding("mean-weight", "overall", ["all decisions"], overall, limits),
        part_finding("mean-weight-action", "by action", names, (means, p_values), limits, due),
    ]


def _tested(
    totals: FloatArray, n: int, rounding: float, could: tuple[float, float]
) -> tuple[float, float]:
    """Mean excess of the weights, and its p; 1 where groups are too few to ask."""
    mean = float(totals.sum()) / n
    if totals.size < FEWEST:
        return mean, 1.0
    return mean, cautious_p(totals, could[0], could[1], max(rounding, ROUNDING * n))


def in_place(checks: LogChecks, findings: Iterable[Finding]) -> LogChecks:
    """The checks with findings of the same codes in the place of theirs."""
    by_code = {one.code: one for one in findings}
    return replace(checks, findings=tuple(by_code.get(one.code, one) for one in checks.findings))
