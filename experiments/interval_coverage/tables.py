"""The tables of a coverage study, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from experiments.common.markdown import markdown_table
from experiments.interval_coverage.study import DIFFERENCE, Finding, Truth
from nurture_rl.ope.intervals import binomial_interval

Truths = Mapping[tuple[str, str | None], Truth]
WEIGHTED = ("ips", "snips", "dr", DIFFERENCE)  # the intervals that promise to cover
ESS_BANDS = (0.0, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, np.inf)
SHARE_BANDS = (0.0, 0.01, 0.02, 0.05, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often intervals of one kind held the truth."""

    intervals: int
    covered: int
    below: int  # the whole interval lies below the truth
    above: int  # the whole interval lies above it

    @property
    def text(self) -> str:
        """Coverage with its exact 95 % interval."""
        if not self.intervals:
            return "none"
        bounds = binomial_interval(self.covered, self.intervals, 0.95)
        share = self.covered / self.intervals
        return f"{share:.0%} ({bounds.lower:.0%} to {bounds.upper:.0%})"


def coverage(rows: Iterable[Finding], truths: Truths) -> Coverage:
    """Count the intervals that hold the truth, and on which side the others miss."""
    pairs = [(row, truths[row.policy, row.against].value) for row in rows]
    below = sum(row.upper < truth for row, truth in pairs)
    above = sum(row.lower > truth for row, truth in pairs)
    return Coverage(len(pairs), len(pairs) - below - above, below, above)


def report(rows: Sequence[Finding], truths: Truths) -> str:
    """Every table, the largest logs first."""
    reference = rows[0].policy
    parts = ["## The truth", truth_table(truths, reference)]
    for contacts in sorted({row.contacts for row in rows}, reverse=True):
        own = [row for row in rows if row.contacts == contacts]
        logs = len({row.log for row in own})
        parts += [
            f"## {logs} logs of {contacts} contacts",
            value_table([row for row in own if row.against is None], truths),
            f"### Paired doubly robust difference to {reference}",
            difference_table([row for row in own if row.against == reference], truths),
            "### Claims that one policy is better, over all pairs",
            claim_table([row for row in own if row.against is not None], truths, reference),
        ]
    parts += ["## Coverage where the overlap is feasible", feasible_table(rows, truths)]
    parts += ["## Coverage by effective sample size", ess_table(rows, truths)]
    parts += ["## Coverage by largest weight share", share_table(rows, truths)]
    parts += ["## Misses of feasible intervals", miss_table(rows, truths, reference)]
    return "\n\n".join(parts)


def truth_table(truths: Truths, reference: str) -> str:
    """What each policy really earns, and how well that is known."""
    lines = []
    for (policy, against), truth in truths.items():
        if against is None:
            gap = truths.get((policy, reference))
            shown = "" if gap is None else f"{gap.value:+.2f} ± {gap.stderr:.2f}"
            lines.append([policy, f"{truth.value:.2f} ± {truth.stderr:.2f}", shown])
    return markdown_table(["policy", "EUR per episode ± s.e.", f"minus {reference}"], lines)


def value_table(rows: Sequence[Finding], truths: Truths) -> str:
    """Each policy and estimator: bias, honesty of the standard error, coverage, width."""
    head = ["policy", "estimator", "truth", "mean", "bias in s.e.", "s.e. / spread", "covered"]
    head += ["too low", "too high", "half width", "ESS", "largest share", "feasible"]
    head += ["covered where feasible"]
    lines = []
    for policy, estimator in dict.fromkeys((row.policy, row.estimator) for row in rows):
        own = [row for row in rows if (row.policy, row.estimator) == (policy, estimator)]
        lines.append([policy, estimator, *_measures(own, truths)])
    return markdown_table(head, lines)


def difference_table(rows: Sequence[Finding], truths: Truths) -> str:
    """Each policy's difference to one other, and how often it was claimed to be better or worse."""
    head = ["policy", "truth", "mean", "bias in s.e.", "s.e. / spread", "covered"]
    head += ["too low", "too high", "half width", "ESS", "largest share", "feasible"]
    head += ["covered where feasible", "called better", "called worse"]
    lines = []
    for policy in dict.fromkeys(row.policy for row in rows):
        own = [row for row in rows if row.policy == policy]
        claims = [sum(row.claim == sign for row in own) for sign in (1, -1)]
        lines.append([policy, *_measures(own, truths), *map(str, claims)])
    return markdown_table(head, lines)


def _measures(rows: Sequence[Finding], truths: Truths) -> list[str]:
    """The cells that value and difference tables share."""
    truth = truths[rows[0].policy, rows[0].against].value
    values = np.array([row.value for row in rows])
    stderr = float(np.mean([row.stderr for row in rows]))
    spread = float(values.std(ddof=1)) if len(rows) > 1 else 0.0
    found = coverage(rows, truths)
    feasible = [row for row in rows if row.feasible]
    return [
        f"{truth:.2f}",
        f"{values.mean():.2f}",
        f"{(values.mean() - truth) / stderr:+.2f}" if stderr > 0.0 else "-",
        f"{stderr / spread:.2f}" if spread > 0.0 else "-",
        found.text,
        str(found.below),
        str(found.above),
        f"{np.mean([row.upper - row.lower for row in rows]) / 2.0:.2f}",
        f"{np.mean([row.ess for row in rows]):.0f}",
        f"{np.mean([row.max_weight_share for row in rows]):.1%}",
        f"{len(feasible)} of {len(rows)}",
        coverage(feasible, truths).text,
    ]


def claim_table(rows: Sequence[Finding], truths: Truths, reference: str) -> str:
    """How often "better", said either way round of a pair, was wrong; with and without overlap.

    "Too high" is how often it would be said wrongly of a policy as good as the other.
    """
    kinds: dict[str, Callable[[Finding], bool]] = {
        f"with {reference}, both feasible": lambda row: row.feasible and row.against == reference,
        "all, both feasible": lambda row: row.feasible,
        "all, one infeasible, were overlap not asked for": lambda row: not row.feasible,
    }
    head = ["pairs", "intervals", "claims", "wrong claims", "covered", "too low", "too high"]
    lines = []
    for kind, belongs in kinds.items():
        own = [row for row in rows if belongs(row)]
        signed = [(_side(row), truths[row.policy, row.against].value) for row in own]
        claims = sum(side != 0 for side, _ in signed)
        wrong = sum(side * truth < 0.0 for side, truth in signed)
        found = coverage(own, truths)
        counts = [len(own), claims, wrong, found.text, found.below, found.above]
        lines.append([kind, *map(str, counts)])
    return markdown_table(head, lines)


def _side(row: Finding) -> int:
    """Which side of 0 the whole interval lies on, 0 for none."""
    return int(row.lower > 0.0) - int(row.upper < 0.0)


def feasible_table(rows: Sequence[Finding], truths: Truths) -> str:
    """Coverage of the weighted estimators where the diagnostics let them pass, by size of log."""
    groups: dict[str, list[Finding]] = {}
    for row in rows:
        word = "feasible" if row.feasible else "infeasible"
        groups.setdefault(f"{word}, {row.contacts} contacts", []).append(row)
    return _grouped(groups, truths)


def ess_table(rows: Sequence[Finding], truths: Truths) -> str:
    """Coverage of the weighted estimators in bands of effective sample size."""
    groups = {
        f"{low:g} to {high:g} episodes": [row for row in rows if low <= row.ess < high]
        for low, high in pairwise(ESS_BANDS)
    }
    return _grouped(groups, truths)


def share_table(rows: Sequence[Finding], truths: Truths) -> str:
    """The same in bands of the largest share of all weight on one episode."""
    groups = {
        f"{low:.0%} to {high:.0%}": [row for row in rows if low < row.max_weight_share <= high]
        for low, high in pairwise(SHARE_BANDS)
    }
    return _grouped(groups, truths)


def _grouped(groups: Mapping[str, Sequence[Finding]], truths: Truths) -> str:
    """Coverage by estimator of each group; the intervals of one log are not independent."""
    head = ["intervals"]
    head += [f"{kind}: {what}" for kind in WEIGHTED for what in ("covered", "low, high of")]
    lines = []
    for label, group in groups.items():
        line = [label]
        for kind in WEIGHTED:
            found = coverage((row for row in group if row.estimator == kind), truths)
            line += [found.text, f"{found.below}, {found.above} of {found.intervals}"]
        lines.append(line)
    return markdown_table(head, lines)


def miss_table(rows: Iterable[Finding], truths: Truths, reference: str) -> str:
    """Feasible intervals of weighted estimators that do not hold the truth."""
    head = ["contacts", "log", "policy", "estimator", "interval", "truth", "ESS", "largest share"]
    lines = []
    for row in rows:
        truth = truths[row.policy, row.against].value
        shown = row.estimator in WEIGHTED and row.against in (None, reference) and row.feasible
        if shown and not row.lower <= truth <= row.upper:
            interval, share = f"{row.lower:.2f} to {row.upper:.2f}", f"{row.max_weight_share:.1%}"
            cells = [row.policy, row.estimator, interval, f"{truth:.2f}", f"{row.ess:.0f}", share]
            lines.append([str(row.contacts), str(row.log), *cells])
    return markdown_table(head, lines)
