"""A whole off-policy document, made from a small log by the same functions as the verb's."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.named_estimators import ESTIMATORS
from nurture_rl.ope.targets import TabulatedPolicy
from tests.unit.ope.log_makers import random_log

LOG = random_log(0, [2] * 900, discount=1.0)
RNG = np.random.default_rng(1)
BESIDE = LogAnnotations(
    day=np.datetime64("2026-03-02") + (np.arange(1800) // 2 % 28).astype("timedelta64[D]"),
    segments={"region": np.array(["north", "south", "west"], dtype=object)[np.arange(900) % 3]},
    harms={"complaints": (RNG.random(1800) < 0.003).astype(np.float64)},
    factors={"routing": ("wait", "send", "send"), "content": ("", "proof", "offer")},
    features=("size", "age"),
    actions=("wait", "send:proof", "send:offer"),
)


def leaning(tilt: float) -> TabulatedPolicy:
    """The logging policy, leaning toward later actions, which pay more, by `tilt`."""
    assert LOG.logged_probabilities is not None
    raw: FloatArray = LOG.logged_probabilities * np.exp(tilt * np.arange(LOG.n_actions))
    return TabulatedPolicy(raw / raw.sum(axis=1, keepdims=True))


@cache
def document(candidate: str | None = None) -> dict[str, Any]:
    """What the verb would write to `ope.json`."""
    last = np.where(LOG.mask, np.arange(LOG.n_actions), -1.0)
    always_last = TabulatedPolicy((last == last.max(axis=1, keepdims=True)).astype(np.float64))
    policies = {"late_<b>": leaning(0.8), "plain": leaning(0.3), "early": leaning(-0.8)}
    policies["wild"] = always_last
    config = EvaluationConfig(estimators=tuple(ESTIMATORS), rules="plain", margin=0.1)
    rng = np.random.default_rng(0)
    found = appraise(LOG, policies, "logged", rng, config, BESIDE, candidate)
    return {
        "title": f"What the log says about “{found.candidate}”",
        "appraisal": found.to_dict(),
        "log": {
            "source": "log.csv",
            "read": 1803,
            "refused": 3,
            "reasons": [
                {
                    "kind": "bad propensity",
                    "rows": 3,
                    "line": 17,
                    "example": "bad propensity: 0 is outside (0, 1]",
                }
            ],
            "notes": ["no mask was given: every action counts as legal in every decision"],
            "fingerprint": "c0ffee" * 8,
            "actions": list(BESIDE.actions),
            "features": list(BESIDE.features),
            "provenance": "SYNTHETIC: drawn for this test",
        },
        "run": {
            "seed": 0,
            "started_at": "2026-11-27T12:00+00:00",
            "command": "nurture ope data=frame data.path=log.csv",
            "settings_hash": "feed" * 4,
            "code_hash": "beef" * 4,
            "versions": {"numpy": "2"},
            "config": "seed: 0\n",
        },
    }
