"""The tables of a truth study, in Markdown, and the panels of its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from experiments.common.markdown import markdown_table
from experiments.ope_truth.figures import ScorePanel, ValuePanel
from experiments.ope_truth.scores import SELECTED, Score, scores
from experiments.ope_truth.selection import narrowest
from experiments.ope_truth.study import TrueValues, TruthCell
from experiments.world_ranking.study import LOGGING

Truths = Mapping[str, TrueValues]


def report(truths: Truths, cells: Sequence[TruthCell]) -> str:
    """Every table: estimators over all worlds, the selection, each world, and its policies."""
    found = all_scores(truths, cells)
    parts = ["## Estimators, all worlds", estimator_table(found)]
    if any(one.estimator == SELECTED for one in found):
        parts += ["## Selection", selection_table(found), chosen_table(cells)]
    parts.append("## Estimators, world by world")
    for name in truths:
        own = [one for one in found if one.world == name]
        parts.append(f"### {name}\n\n{estimator_table(own)}")
    parts.append("## The policies")
    for name, truth in truths.items():
        own_cells = [cell for cell in cells if cell.world == name]
        parts.append(f"### {name}\n\n{policy_table(truth, own_cells)}")
    return "\n\n".join(parts)


def all_scores(truths: Truths, cells: Sequence[TruthCell]) -> list[Score]:
    """The score of every estimator on every log."""
    return [score for cell in cells for score in scores(cell, truths[cell.world])]


def estimator_table(found: Sequence[Score]) -> str:
    """One line a size and estimator: means over logs, counts over all of them."""
    head = ["decisions", "logs", "estimator", "answered", "relative error", "carried only"]
    head += ["covered", "covered, not carried", "rank correlation", "carried only"]
    head += ["regret@1", "carried only", "CPU s a policy"]
    lines = []
    for size in sorted({one.size for one in found}):
        for name in dict.fromkeys(one.estimator for one in found):
            own = [one for one in found if one.size == size and one.estimator == name]
            if own:
                lines.append(_estimator_line(size, name, own))
    return markdown_table(head, lines)


def _estimator_line(size: int, name: str, own: Sequence[Score]) -> list[str]:
    carried = sum(one.carried for one in own)
    answered = sum(one.answered for one in own)
    return [
        f"{size:,}",
        str(len(own)),
        name,
        f"{answered} of {sum(one.asked for one in own)}",
        _mean(own, lambda one: one.error, "{:.3f}"),
        _mean(own, lambda one: one.carried_error, "{:.3f}"),
        _share(sum(one.covered for one in own), carried),
        _share(sum(one.covered_else for one in own), answered - carried),
        _mean(own, lambda one: one.spearman, "{:.2f}"),
        _mean(own, lambda one: one.carried_spearman, "{:.2f}"),
        _mean(own, lambda one: one.choice.share, "{:.0%}"),
        _mean(own, lambda one: one.carried_choice.share, "{:.0%}"),
        _mean(own, lambda one: one.seconds, "{:.2f}"),
    ]


def selection_table(found: Sequence[Score]) -> str:
    """What the selected estimator loses to the best estimator in hindsight, by size."""
    head = ["decisions", "relative error: selected", "best in hindsight", "which"]
    head += ["regret@1: selected", "best in hindsight", "which", "less the best"]
    lines = []
    sizes: list[int | None] = [*sorted({one.size for one in found})]
    for size in [*sizes, None]:
        own = [one for one in found if size is None or one.size == size]
        error, error_of = _best(own, lambda one: one.carried_error)
        regret, regret_of = _best(own, lambda one: one.carried_choice.share)
        mine = [one for one in own if one.estimator == SELECTED]
        selected = _average(mine, lambda one: one.carried_choice.share)
        lines.append(
            [
                "all" if size is None else f"{size:,}",
                _mean(mine, lambda one: one.carried_error, "{:.3f}"),
                f"{error:.3f}",
                error_of,
                f"{selected:.1%}",
                f"{regret:.1%}",
                regret_of,
                f"{selected - regret:+.1%}",
            ]
        )
    return markdown_table(head, lines)


def chosen_table(cells: Sequence[TruthCell]) -> str:
    """How often each estimator was the selected one of a log."""
    lines = []
    for size in sorted({cell.size for cell in cells}):
        chosen = [narrowest(cell.findings) for cell in cells if cell.size == size]
        picks = [name or "none" for name in chosen]
        counts = {name: picks.count(name) for name in sorted(set(picks), key=picks.count)[::-1]}
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        lines.append([f"{size:,}", str(len(picks)), told])
    return markdown_table(["decisions", "logs", "selected estimators"], lines)


def policy_table(truth: TrueValues, cells: Sequence[TruthCell]) -> str:
    """True value of each policy, best first, and by size how many logs carry it."""
    sizes = sorted({cell.size for cell in cells})
    lines = []
    for name in sorted(truth.value, key=lambda one: -truth.value[one]):
        line = [name, f"{truth.value[name]:.2f} ± {truth.stderr[name]:.2f}"]
        line.append("" if name == LOGGING else f"{truth.value[name] - truth.value[LOGGING]:+.2f}")
        for size in sizes:
            ess, carried, logs = _carried([cell for cell in cells if cell.size == size], name)
            line.append(f"{ess:,.0f} ({carried} of {logs})")
        lines.append(line)
    head = ["policy", "true value ± s.e.", "less the logging policy"]
    return markdown_table([*head, *(f"effective episodes at {size:,}" for size in sizes)], lines)


def _carried(cells: Sequence[TruthCell], policy: str) -> tuple[float, int, int]:
    """Mean effective sample size over logs, how many carry the policy, and how many there are."""
    first = [next(one for one in cell.findings if one.policy == policy) for cell in cells]
    return float(np.mean([one.ess for one in first])), sum(o.feasible for o in first), len(first)


def score_panels(found: Sequence[Score]) -> list[ScorePanel]:
    """By size: each estimator's four scores in each world."""
    worlds = list(dict.fromkeys(one.world for one in found))
    names = list(dict.fromkeys(one.estimator for one in found))
    panels = []
    for size in sorted({one.size for one in found}):

        def grid(take: Callable[[Score], float], size: int = size) -> np.ndarray:
            cell = {(w, n): [] for w in worlds for n in names}  # type: ignore[var-annotated]
            for one in found:
                if one.size == size:
                    cell[one.world, one.estimator].append(take(one))
            return np.array([[_nan_mean(cell[w, n]) for n in names] for w in worlds])

        panels.append(
            ScorePanel(
                size=size,
                worlds=tuple(worlds),
                estimators=tuple(names),
                error=grid(lambda one: one.carried_error),
                covered=grid(lambda one: one.covered / one.carried if one.carried else np.nan),
                spearman=grid(lambda one: one.carried_spearman),
                regret=grid(lambda one: one.carried_choice.share),
            )
        )
    return panels


def value_panels(
    truths: Truths, cells: Sequence[TruthCell], estimator: str
) -> list[list[ValuePanel]]:
    """One estimator's values and intervals against the truth: a row a world, its first logs."""
    rows = []
    for name, truth in truths.items():
        own = [cell for cell in cells if cell.world == name]
        firsts = [next(c for c in own if c.size == size) for size in sorted({c.size for c in own})]
        rows.append([_value_panel(truth, cell, estimator) for cell in firsts])
    return rows


def _value_panel(truth: TrueValues, cell: TruthCell, estimator: str) -> ValuePanel:
    mine = [one for one in cell.findings if one.estimator == estimator]
    return ValuePanel(
        world=cell.world,
        size=cell.size,
        true=np.array([truth.value[one.policy] for one in mine]),
        value=np.array([one.value for one in mine]),
        lower=np.array([one.lower for one in mine]),
        upper=np.array([one.upper for one in mine]),
        carried=np.array([one.feasible for one in mine]),
    )


def _best(own: Sequence[Score], take: Callable[[Score], float]) -> tuple[float, str]:
    """The lowest mean over logs among the estimators of the suite, and whose it is."""
    names = dict.fromkeys(one.estimator for one in own if one.estimator != SELECTED)
    means = {n: _average([one for one in own if one.estimator == n], take) for n in names}
    low = min(means, key=lambda name: (np.isnan(means[name]), means[name]))
    return means[low], low


def _average(own: Sequence[Score], take: Callable[[Score], float]) -> float:
    return _nan_mean([take(one) for one in own])


def _nan_mean(values: Sequence[float]) -> float:
    known = [one for one in values if not np.isnan(one)]
    return float(np.mean(known)) if known else float("nan")


def _mean(own: Sequence[Score], take: Callable[[Score], float], form: str) -> str:
    mean = _average(own, take)
    return "none" if np.isnan(mean) else form.format(mean)


def _share(hits: int, of: int) -> str:
    return f"{hits / of:.0%} of {of}" if of else "none"
