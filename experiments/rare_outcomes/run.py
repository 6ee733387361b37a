"""How often intervals cover when outcomes are rare, contacts cluster or weights are heavy."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from experiments.common.markdown import markdown_table
from experiments.rare_outcomes.skewed_weights import Chain, chain_coverage
from experiments.rare_outcomes.study import (
    MAKERS,
    Covered,
    Rare,
    clustered_coverage,
    exact_coverage,
)

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CLUSTERS = ((5, 0.1), (5, 0.3), (20, 0.3))  # decisions of a contact, correlation of its rewards
CHAINS = ((1_000, 0.08), (2_500, 0.08), (2_500, 0.02), (10_000, 0.005), (1_000, None))


def exact_table() -> str:
    """Every interval at every size, on the exact scenario."""
    lines = []
    for name, make in MAKERS.items():
        found = [exact_coverage(Rare(n), make) for n in SIZES]
        lines.append([name, *(f"{one.coverage:.4f} ({one.width:.3g})" for one in found)])
    return markdown_table(["interval", *(f"n = {n:.0e}".replace("e+0", "e") for n in SIZES)], lines)


def clustered_table(logs: int, rng: np.random.Generator) -> str:
    """Plain and chosen intervals where contacts cluster; the largest logs are drawn less often."""
    lines = []
    for each, correlation in CLUSTERS:
        for n in SIZES:
            rare = Rare(n)
            exact = exact_coverage(rare, MAKERS["Clopper-Pearson × K"]).width
            drawn = max(min(logs, logs * 20_000 // n), logs // 10)
            found = clustered_coverage(rare, each, correlation, drawn, rng)
            cells = [_cell(one) for one in found.values()]
            ratio = found["chosen"].width / exact
            lines.append([str(each), f"{correlation}", str(n), *cells, f"{ratio:.2f}"])
    head = ["decisions each", "correlation", "decisions", "clustered t", "chosen", "× exact"]
    return markdown_table(head, lines)


def chain_table(logs: int, rng: np.random.Generator) -> str:
    """Plain and chosen intervals where weights are products."""
    lines = []
    for episodes, rate in CHAINS:
        for name, (plain, chosen) in chain_coverage(Chain(episodes, rate=rate), logs, rng).items():
            pays = "exponential, every episode" if rate is None else f"300, base rate {rate:g}"
            cells = [f"{one:.1%}" for one in (plain.below, chosen.below)]
            lines.append([str(episodes), pays, name, _cell(plain), _cell(chosen), *cells])
    head = ["episodes", "pays", "estimate", "clustered t", "chosen", "t below", "chosen below"]
    return markdown_table(head, lines)


def _cell(found: Covered) -> str:
    return f"{found.coverage:.3f} ± {found.stderr:.3f} ({found.width:.3g})"


def main(arguments: list[str]) -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=2000, help="of each clustered kind")
    parser.add_argument("--chains", type=int, default=1000, help="of each kind with heavy weights")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(given.seed)
    print("### One decision a contact, exact\n")
    print(exact_table())
    print("\n### Several decisions a contact, simulated\n")
    print(clustered_table(given.logs, rng))
    print("\n### Weights that are products over ten decisions, simulated\n")
    print(chain_table(given.chains, rng))


if __name__ == "__main__":
    main(sys.argv[1:])
