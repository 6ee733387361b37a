"""What the judges might find, by hand: every number another one, so that none can be mistaken."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.schema import register_schemas

CONFIGS = Path(__file__).parents[3] / "configs"
LEVEL = 0.975  # of two candidates together 95 %


def settings_of(*given: str) -> Settings:
    """The pipeline's settings with some of them changed."""
    return _settings(given)


@lru_cache(maxsize=8)
def _settings(given: tuple[str, ...]) -> Settings:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("pipeline", overrides=list(given)))


def difference(value: float, lower: float, upper: float) -> dict[str, Any]:
    """A paired difference by the log."""
    return {"value": value, "interval": {"lower": lower, "upper": upper}}


def by_the_log(gain: float, over_bar: float) -> dict[str, Any]:
    """A policy that the log carries and puts above the reference and the bar."""
    return {
        "difference": difference(gain, gain - 1.0, gain + 2.0),
        "against_rules": difference(over_bar, over_bar - 0.5, over_bar + 0.75),
        "overlap": {"feasible": True, "reason": "met", "ess": 321.0},
        "judgement": {"verdict": "better", "reason": "all of it above 0", "contacts_needed": None},
    }


def played(value: float, gain: float, over_bar: float) -> dict[str, Any]:
    """The same in the world; its worst member thinks a little less of both."""
    return {
        "value": value,
        "difference": gain,
        "difference_lower": gain - 1.5,
        "difference_upper": gain + 1.25,
        "level": LEVEL,
        "worst": {
            "value": value - 4.0,
            "difference": gain - 0.25,
            "difference_lower": gain - 1.75,
            "difference_upper": gain + 1.0,
        },
        "over_bar": {
            "value": over_bar,
            "lower": over_bar - 0.625,
            "upper": over_bar + 0.375,
            "level": LEVEL,
            "worst": {
                "value": over_bar - 0.125,
                "lower": over_bar - 0.875,
                "upper": over_bar + 0.25,
            },
        },
    }


def over_a_program(value: float) -> dict[str, Any]:
    """A paired difference by the log that holds for two candidates and more programs."""
    found = difference(value, value - 0.375, value + 0.25)
    found["interval"]["level"] = 0.9875
    return found


def findings() -> dict[str, Any]:
    """Two candidates that both judges put above `drip` and `expert`; `ppo` is the world's own."""
    bar = {
        "difference": difference(1.0, 0.5, 1.5),
        "against_rules": None,
        "overlap": {"feasible": True, "reason": "met", "ess": 99.0},
        "judgement": None,
    }
    return {
        "ope": {
            "level": LEVEL,
            "n_clusters": 1234,
            "policies": {
                "ppo": by_the_log(6.0, 3.0),
                "linear_thompson": by_the_log(7.0, 4.0),
                "expert": bar,
            },
        },
        "simulator": {
            "policies": {
                "ppo": played(50.0, 9.0, 5.0),
                "linear_thompson": played(45.0, 8.0, 2.0),
                "expert": {"value": 41.0, "difference_lower": 3.5},
            }
        },
        "over_programs": {
            "ppo": {"no_contact": over_a_program(1.5)},
            "linear_thompson": {"no_contact": over_a_program(2.5)},
        },
        "reference": "drip",
        "bar": {"name": "expert", "reason": "the run asks for it"},
        "candidates": ["ppo", "linear_thompson"],
        "left_out": {},
    }


def gap_verdict(trust: str = "trust_for_ranking") -> dict[str, Any]:
    """What the reality gap says of the world."""
    return {"trust": trust, "sentence": "So it is.", "causes": []}
