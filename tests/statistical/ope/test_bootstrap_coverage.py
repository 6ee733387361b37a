"""Bootstrap intervals by contact cover skewed ratios, the studentised one best."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.bounds.bootstrap import (
    BootstrapConfig,
    percentile_interval,
    replicate_sums,
    studentised_interval,
)

LOGS = 600


def test_contacts_with_skewed_totals_are_covered() -> None:
    """Contacts have 1 to 4 episodes and a lognormal level that all of these share."""
    rng = np.random.default_rng(0)
    truth = np.exp(0.5)
    hits = {"percentile": 0, "studentised": 0, "rows as contacts": 0}
    for log in range(LOGS):
        episodes = rng.integers(1, 5, size=80)
        level = rng.lognormal(size=80)
        config = BootstrapConfig(replicates=400, seed=log)
        sums = replicate_sums(np.arange(80), level * episodes, episodes.astype(float), config)
        rows = np.repeat(level, episodes)
        plain = replicate_sums(np.arange(rows.size), rows, np.ones(rows.size), config)
        for name, found in (
            ("percentile", percentile_interval(sums, 0.95)),
            ("studentised", studentised_interval(sums, 0.95)),
            ("rows as contacts", studentised_interval(plain, 0.95)),
        ):
            hits[name] += found.lower <= truth <= found.upper
    assert hits["studentised"] >= 0.92 * LOGS
    assert hits["studentised"] > hits["percentile"]
    assert hits["rows as contacts"] < 0.85 * LOGS  # negative control: contacts forgotten
