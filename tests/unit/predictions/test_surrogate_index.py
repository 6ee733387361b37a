"""An index that stands for a late outcome, and the warning where it points the other way."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import FitError
from nurture_rl.predictions.surrogate_index import (
    OPPOSITE,
    SAME,
    UNKNOWN,
    effects_on_both,
    fit_surrogate_index,
)


def planted(effect: float, n: int = 8000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Early clicks tell of a late deal; a mail brings clicks, and moves deals by `effect`."""
    rng = np.random.default_rng(seed)
    keen = rng.normal(size=n)
    p = np.where(keen > 0, 0.7, 0.3)  # keen contacts are mailed more often
    mailed = rng.random(n) < p
    clicks = rng.poisson(np.exp(0.3 + 0.6 * keen + 0.7 * mailed)).astype(float)
    visits = rng.poisson(np.exp(0.2 + 0.3 * keen)).astype(float)
    deal = rng.random(n) < 1.0 / (1.0 + np.exp(1.6 - 1.0 * keen - effect * mailed))
    return np.column_stack([clicks, visits]), deal, mailed, p


def test_the_index_is_the_chance_of_what_it_stands_for() -> None:
    early, deal, _, _ = planted(0.0)
    index = fit_surrogate_index(early, deal).of(early)
    assert index.mean() == pytest.approx(deal.mean(), abs=1e-3)
    high = index > np.quantile(index, 0.8)
    assert index[high].mean() == pytest.approx(deal[high].mean(), abs=0.05)
    assert deal[high].mean() > 1.3 * deal.mean()


def test_a_planted_flip_of_sign_is_warned_of_and_an_agreement_is_not() -> None:
    for effect, verdict in ((0.9, SAME), (-0.9, OPPOSITE)):
        early, deal, mailed, p = planted(effect)
        half = len(deal) // 2
        index = fit_surrogate_index(early[:half], deal[:half]).of(early[half:])
        told = effects_on_both(index, deal[half:], {"mail": mailed[half:]}, {"mail": p[half:]})[0]
        assert told.verdict == verdict
        assert told.index_low > 0.0
        assert np.sign(told.on_outcome) == np.sign(effect)


def test_weights_take_whom_the_programme_chose_out_of_the_effect() -> None:
    early, deal, mailed, p = planted(0.0, n=20000)
    index = fit_surrogate_index(early, deal).of(early)
    told = effects_on_both(index, deal, {"mail": mailed}, {"mail": p})[0]
    assert told.outcome_low < 0.0 < told.outcome_high
    assert told.verdict == UNKNOWN
    naive = deal[mailed].mean() - deal[~mailed].mean()
    assert naive > told.outcome_high  # negative control


def test_what_was_certain_tells_no_effect() -> None:
    early, deal, mailed, _ = planted(0.0, n=2000)
    index = fit_surrogate_index(early, deal).of(early)
    assert effects_on_both(index, deal, {"mail": mailed}, {"mail": np.ones(2000)}) == ()


def test_too_few_late_outcomes_are_refused() -> None:
    with pytest.raises(FitError, match="4 matured contacts of the rarer kind, 30 are needed"):
        fit_surrogate_index(np.zeros((50, 1)), np.arange(50) < 4)
