"""Whether the arms have as many units as chance would give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

REFUSED_BELOW = 0.01  # a share of mismatches this rare by chance stops every verdict
_CONCENTRATION = 1_000.0  # how near to the plan other shares are looked for


@dataclass(frozen=True, slots=True)
class SizesOfArms:
    """Units by arm, and what the plan says."""

    counted: Mapping[str, int]
    planned: Mapping[str, float]  # shares, adding up to 1
    chance: float  # at most so rare under the plan, at all times together; in (0, 1]

    @property
    def as_planned(self) -> bool:
        """Whether chance explains the counts."""
        return self.chance >= REFUSED_BELOW


def arm_sizes(counted: Mapping[str, int], planned: Mapping[str, float]) -> SizesOfArms:
    """Hold the counts of an experiment against its plan (sample ratio mismatch).

        e = Dir(n + c p) / Dir(c p) / prod_k p_k^n_k,    chance = min(1, 1 / e)

    It may be looked at every day: e has mean 1 under the plan at any time it is read.

    Args:
        counted: units by arm; an arm without units may be missing.
        planned: share by arm, each above 0.

    Source: Lindon & Malek (2022), Anytime-valid inference for multinomial count data.
    """
    n = np.array([counted.get(name, 0) for name in planned], np.float64)
    p = np.array(list(planned.values()))
    prior = _CONCENTRATION * p
    log_e = float(
        gammaln(prior.sum())
        - gammaln((n + prior).sum())
        + (gammaln(n + prior) - gammaln(prior)).sum()
        - (n * np.log(p)).sum()
    )
    whole = {name: int(count) for name, count in zip(planned, n, strict=True)}
    return SizesOfArms(whole, dict(planned), min(1.0, float(np.exp(min(-log_e, 0.0)))))
