"""What the judges might find, by hand: every number another one, so that none can be mistaken."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.simulator.gap.trust import GapVerdict, Trust
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.settings_schema import register_schemas

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


def interval(lower: float, upper: float, level: float = LEVEL) -> dict[str, Any]:
    """An interval by the log."""
    return {"lower": lower, "upper": upper, "level": level, "method": "clustered-t", "reason": ""}


def difference(value: float, lower: float, upper: float, level: float = LEVEL) -> dict[str, Any]:
    """A paired difference by the log."""
    stated = interval(lower, upper, level)
    return {"value": value, "stderr": 1.0, "interval": stated, "n_clusters": 1234}


def overlap(feasible: bool = True, reason: str = "met", ess: float = 321.0) -> dict[str, Any]:
    """How far the log carries a policy."""
    return {
        "n_episodes": 1234,
        "n_clusters": 1234,
        "ess": ess,
        "ess_by_step": [ess],
        "predicted_ess": ess,
        "max_weight_share": 0.01,
        "mean_weight": [1.0],
        "mean_weight_stderr": [0.01],
        "support_gap": 0.0,
        "feasible": feasible,
        "reason": reason,
    }


def policy(
    name: str, gain: dict[str, Any] | None, over_rules: dict[str, Any] | None
) -> dict[str, Any]:
    """A policy that the log carries."""
    better = {"verdict": "better", "reason": "all of it above 0", "contacts_needed": None}
    return {
        "name": name,
        "estimates": {},
        "refusals": {},
        "overlap": overlap(),
        "action_mix": [[1.0]],
        "basis": "dr",
        "difference": gain,
        "against_rules": over_rules,
        "judgement": better,
    }


def by_the_log(name: str, gain: float, over_bar: float) -> dict[str, Any]:
    """A policy that the log puts above the reference and the bar."""
    return policy(
        name,
        difference(gain, gain - 1.0, gain + 2.0),
        difference(over_bar, over_bar - 0.5, over_bar + 0.75),
    )


def played(value: float, gain: float, over_bar: float | None) -> dict[str, Any]:
    """The same in the world; its worst member thinks a little less of both."""
    return {
        "value": value,
        "lower": value - 1.0,
        "upper": value + 1.0,
        "between": 0.5,
        "difference": gain,
        "difference_lower": gain - 1.5,
        "difference_upper": gain + 1.25,
        "difference_between": 0.5,
        "level": LEVEL,
        "by_member": {"value": [value], "difference": [gain]},
        "worst": {
            "value": value - 4.0,
            "difference": gain - 0.25,
            "difference_lower": gain - 1.75,
            "difference_upper": gain + 1.0,
        },
        "by_seed": [value],
        "kpis": [],
        "action_mix": [[1.0]],
        "reasons": {},
        "over_bar": None if over_bar is None else world_gap(over_bar),
    }


def world_gap(value: float) -> dict[str, Any]:
    """A policy less the bar in the world."""
    return {
        "value": value,
        "lower": value - 0.625,
        "upper": value + 0.375,
        "between": 0.25,
        "level": LEVEL,
        "by_member": [value],
        "worst": {"value": value - 0.125, "lower": value - 0.875, "upper": value + 0.25},
    }


def over_a_program(value: float) -> dict[str, Any]:
    """A paired difference by the log that holds for two candidates and more programs."""
    return difference(value, value - 0.375, value + 0.25, 0.9875)


def refusing(code: str, sentence: str = "it is wrong") -> dict[str, Any]:
    """A check that refuses, among a log's or a policy's."""
    finding = {"code": code, "severity": "refuse", "numbers": {}, "sentence": sentence}
    return checks([finding | {"advice": "log it right"}])


def checks(findings: list[Any] | None = None) -> dict[str, Any]:
    """What was asked of the log or of a policy."""
    return {"findings": findings or [], "exploration": None, "mixing": None}


def evaluation() -> dict[str, Any]:
    """What the log says of every policy."""
    estimate = {"value": 1.0, "stderr": 0.1, "n_episodes": 1234, "n_clusters": 1234}
    logged = {"estimate": estimate | {"ess": 1234.0, "influence": []}, "interval": interval(0, 2)}
    return {
        "unit": "EUR",
        "level": LEVEL,
        "reference": "drip",
        "n_decisions": 1234,
        "n_episodes": 1234,
        "n_clusters": 1234,
        "horizon": 1,
        "steps": [0],
        "logged": logged,
        "logged_mix": [[1.0]],
        "policies": {
            "ppo": by_the_log("ppo", 6.0, 3.0),
            "linear_thompson": by_the_log("linear_thompson", 7.0, 4.0),
            "expert": policy("expert", difference(1.0, 0.5, 1.5), None),
            "drip": policy("drip", None, None) | {"judgement": None},
            "no_contact": policy("no_contact", difference(0.5, 0.1, 0.9), None),
        },
        "preferred": "dr",
        "selection": None,
    }


def findings() -> dict[str, Any]:
    """Two candidates that both judges put above `drip` and `expert`; `ppo` is the world's own.

    As `evaluation.json` holds it.
    """
    named = ["ppo", "linear_thompson", "expert", "drip", "no_contact"]
    appraisal = {
        "evaluation": evaluation(),
        "kpis": [],
        "limits": [],
        "candidate": "ppo",
        "rules": "expert",
        "margin": 0.0,
        "candidates": ["ppo", "linear_thompson"],
        "over_programs": {
            "ppo": {"no_contact": over_a_program(1.5)},
            "linear_thompson": {"no_contact": over_a_program(2.5)},
        },
        "checks": checks(),
        "target_checks": {name: checks() for name in named},
        "comparison": None,
        "lift": None,
    }
    empty = ("doing", "weights", "weeks", "tails", "harms", "segments", "skipped")
    rows = {
        "ppo": played(50.0, 9.0, 5.0),
        "linear_thompson": played(45.0, 8.0, 2.0),
        "expert": played(41.0, 5.0, None),
    }
    world = {"contacts": 1, "seeds": [0], "members": 1, "worst_quantile": 0.1, "logged": None}
    return {
        "appraisal": appraisal | {name: {} for name in empty},
        "simulator": world | {"policies": rows},
        "truth": None,
        "bar": {"name": "expert", "reason": "the run asks for it"},
        "left_out": {},
        "actions": ["pause:1"],
        "routing": ["pause"],
        "contacts": {"training": 1234, "held_out": 1234},
    }


def gap_verdict(trust: str = "trust_for_ranking") -> GapVerdict:
    """What the reality gap says of the world."""
    return GapVerdict(Trust(trust), (), "So it is.")
