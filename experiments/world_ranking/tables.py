"""The tables of a ranking study, in Markdown, and its figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from experiments.common.markdown import markdown_table, spread
from experiments.world_ranking.figures import RankingPanel, ranking
from experiments.world_ranking.scores import Agreement, Standings, agreement
from experiments.world_ranking.study import REFERENCE, Cell

Truths = Mapping[str, Standings]
_UNIT = "EUR"  # of the four journeys


def report(truths: Truths, cells: Sequence[Cell]) -> str:
    """Every table: order and choice, values, what is off, and the policies one by one."""
    parts = [
        "## Order and choice",
        order_table(truths, cells),
        "## Values",
        value_table(truths, cells),
        "## Where the values are off",
        *(f"### {name}\n\n{part_table(truths[name], _of(cells, name))}" for name in truths),
        "## The policies",
        *(f"### {name}\n\n{policy_table(truths[name], _of(cells, name))}" for name in truths),
    ]
    return "\n\n".join(parts)


def order_table(truths: Truths, cells: Sequence[Cell]) -> str:
    """Rank correlations and regret at one by journey and size of the log: mean and range."""
    head = ["journey", "contacts", "logs", "Spearman", "Kendall", "pairs in order", "chosen"]
    head += ["best", "regret, EUR", "regret, share of best minus drip"]
    lines = []
    for name, contacts, own in _groups(truths, cells):
        chosen = dict.fromkeys(one.chosen for one in own)
        lines.append(
            [
                name,
                f"{contacts:,}",
                str(len(own)),
                _spread(own, lambda one: one.spearman, "{:.2f}"),
                _spread(own, lambda one: one.kendall, "{:.2f}"),
                f"{_spread(own, lambda one: one.ordered, '{:.0%}')} of {own[0].decided}",
                "; ".join(chosen),
                own[0].best,
                _spread(own, lambda one: one.regret, "{:.2f}"),
                _spread(own, lambda one: one.relative_regret, "{:.0%}"),
            ]
        )
    return markdown_table(head, lines)


def value_table(truths: Truths, cells: Sequence[Cell]) -> str:
    """Errors of the values beside the ensemble's spread, EUR per episode, and its coverage."""
    head = ["journey", "contacts", "logs", "bias", "mean error", "mean error against drip"]
    head += ["members' s.d.", "play s.e. of a member", "truth within members"]
    head += ["truth no less than worst member", "effective rows", "fit, s"]
    lines = []
    for name, contacts, own in _groups(truths, cells):
        fits = [cell for cell in _of(cells, name) if cell.contacts == contacts]
        lines.append(
            [
                name,
                f"{contacts:,}",
                str(len(own)),
                _spread(own, lambda one: one.bias, "{:+.1f}"),
                _spread(own, lambda one: one.error, "{:.1f}"),
                _spread(own, lambda one: one.contrast_error, "{:.1f}"),
                _spread(own, lambda one: one.spread, "{:.1f}"),
                f"{np.mean([cell.believed.member_stderr for cell in fits]):.1f}",
                _spread(own, lambda one: one.inside, "{:.0%}"),
                _spread(own, lambda one: one.above_worst, "{:.0%}"),
                f"{np.mean([cell.effective_rows / cell.rows for cell in fits]):.0%}",
                f"{np.mean([cell.fit_seconds for cell in fits]):.0f}",
            ]
        )
    return markdown_table(head, lines)


def part_table(truth: Standings, cells: Sequence[Cell]) -> str:
    """Mean over policies of the absolute error of each part of the value, EUR per episode."""
    lines = []
    for contacts in _sizes(cells):
        own = [cell.believed.part - truth.part for cell in cells if cell.contacts == contacts]
        error = np.abs(np.mean(own, axis=0)).mean(axis=0)
        lines.append([f"{contacts:,}", *(f"{one:.2f}" for one in error)])
    return markdown_table(["contacts", *truth.parts], lines)


def policy_table(truth: Standings, cells: Sequence[Cell]) -> str:
    """True value of each policy, best first, and the mean value and rank in learned worlds."""
    sizes = _sizes(cells)
    value = {
        n: np.mean([c.believed.value for c in cells if c.contacts == n], axis=0) for n in sizes
    }
    rank = {n: (-one).argsort().argsort() + 1 for n, one in value.items()}
    base = truth.names.index(REFERENCE)
    lines = []
    for place, row in enumerate((-truth.value).argsort(), 1):
        line = [str(place), truth.names[row], f"{truth.value[row]:.2f} ± {truth.stderr[row]:.2f}"]
        gap, noise = truth.value[row] - truth.value[base], truth.difference_stderr[row, base]
        line.append("" if row == base else f"{gap:+.2f} ± {noise:.2f}")
        lines.append(line + [f"{value[n][row]:.1f} (rank {rank[n][row]})" for n in sizes])
    head = ["rank", "policy", "EUR per episode ± s.e.", f"minus {REFERENCE}"]
    return markdown_table(head + [f"from {n:,} contacts" for n in sizes], lines)


def ranking_figure(truths: Truths, cells: Sequence[Cell]) -> bytes:
    """Believed against true values of the first log of every size, as a PNG."""
    rows = []
    for name, truth in truths.items():
        own = _of(cells, name)
        first = [next(cell for cell in own if cell.contacts == n) for n in _sizes(own)]
        rows.append([_panel(truth, cell) for cell in first])
    return ranking(rows, _UNIT)


def _panel(truth: Standings, cell: Cell) -> RankingPanel:
    found = agreement(truth, cell.believed, REFERENCE)
    return RankingPanel(
        journey=cell.journey,
        contacts=cell.contacts,
        true=truth.value,
        believed=cell.believed.value,
        members=cell.believed.members,
        reference=truth.names.index(REFERENCE),
        correlation=found.spearman,
        regret=found.relative_regret,
    )


def _groups(truths: Truths, cells: Sequence[Cell]) -> Iterator[tuple[str, int, list[Agreement]]]:
    """Agreements of the cells that differ by their seed alone."""
    for name, truth in truths.items():
        own = _of(cells, name)
        for contacts in _sizes(own):
            same = [cell.believed for cell in own if cell.contacts == contacts]
            yield name, contacts, [agreement(truth, one, REFERENCE) for one in same]


def _of(cells: Iterable[Cell], journey: str) -> list[Cell]:
    return [cell for cell in cells if cell.journey == journey]


def _sizes(cells: Iterable[Cell]) -> list[int]:
    return sorted({cell.contacts for cell in cells})


def _spread(found: Sequence[Agreement], take: Callable[[Agreement], float], form: str) -> str:
    return spread([take(one) for one in found], form)
