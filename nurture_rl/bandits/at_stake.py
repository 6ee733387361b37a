"""What a decision is worth: how far apart a model of returns sees the best and the worst action."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog

FloatArray = NDArray[np.float64]
_BLOCK = 65_536  # decisions that are valued at once
_SIGNS = 8  # vectors that measure the clustering, for errors that nobody asks for here


class Stakes:
    """A linear model of the returns of a log, asked for how much depends on a decision."""

    def __init__(self, log: TrainingLog, rng: np.random.Generator) -> None:
        """Fit the model.

        Args:
            log: decisions of training contacts.
            rng: draws signs that no value depends on.

        Raises:
            FitError: there is too little to fit.
        """
        fit = fit_returns(log, None, _SIGNS, rng)
        self.model: ScoredPolicy = fit.policy(fit.mean_map(), Greedy(), 0.0, {})

    def of(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> FloatArray:
        """Return of the best legal action less that of the worst, the journey's unit, [n].

        Source: Bastani, Pu & Solar-Lezama (2018), Verifiable Reinforcement Learning via Policy
            Extraction, (4).
        """
        found = np.empty(len(mask))
        for start in range(0, len(mask), _BLOCK):
            rows = slice(start, start + _BLOCK)
            with torch.no_grad():
                scores = self.model.module.scores(torch.tensor(features[rows]))
            values, legal = scores.numpy()[:, :, 0], mask[rows]
            best = np.where(legal, values, -np.inf).max(axis=1)
            found[rows] = best - np.where(legal, values, np.inf).min(axis=1)
        return found
