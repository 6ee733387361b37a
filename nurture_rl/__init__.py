"""Reinforcement learning for behaviour-based email nurturing.

What a user imports is listed in `__all__`, with its meaning in docs/api.md, and loaded when it is
asked for: this package alone brings no library along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nurture_rl.appraisal.appraise import appraise
    from nurture_rl.appraisal.estimation import EvaluationConfig
    from nurture_rl.appraisal.record import Appraisal
    from nurture_rl.appraisal.risk_profile import LogAnnotations
    from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
    from nurture_rl.interchange.admission import admit
    from nurture_rl.interchange.bandit_feedback import FeedbackMeaning, read_feedback
    from nurture_rl.interchange.frames import FrameColumns, FrameMeaning, read_frame
    from nurture_rl.ope.log import EvaluationLog, evaluation_log
    from nurture_rl.ope.targets import TabulatedPolicy
    from nurture_rl.policies.build import PolicyContext, build_policy
    from nurture_rl.policies.policy import Policy
    from nurture_rl.release.bundle import load_bundle
    from nurture_rl.rl.ppo import PPOConfig, train_ppo
    from nurture_rl.rl.rule_search import TunedRulesConfig, search_rules

__all__ = [
    "Appraisal",
    "EvaluationConfig",
    "EvaluationLog",
    "FeedbackMeaning",
    "FrameColumns",
    "FrameMeaning",
    "LinearThompsonConfig",
    "LogAnnotations",
    "PPOConfig",
    "Policy",
    "PolicyContext",
    "TabulatedPolicy",
    "TunedRulesConfig",
    "admit",
    "appraise",
    "build_policy",
    "evaluation_log",
    "fit_linear_thompson",
    "load_bundle",
    "read_feedback",
    "read_frame",
    "search_rules",
    "train_ppo",
]

_HOMES = {
    "Appraisal": "nurture_rl.appraisal.record",
    "EvaluationConfig": "nurture_rl.appraisal.estimation",
    "EvaluationLog": "nurture_rl.ope.log",
    "FeedbackMeaning": "nurture_rl.interchange.bandit_feedback",
    "FrameColumns": "nurture_rl.interchange.frames",
    "FrameMeaning": "nurture_rl.interchange.frames",
    "LinearThompsonConfig": "nurture_rl.bandits.linear_thompson",
    "LogAnnotations": "nurture_rl.appraisal.risk_profile",
    "PPOConfig": "nurture_rl.rl.ppo",
    "Policy": "nurture_rl.policies.policy",
    "PolicyContext": "nurture_rl.policies.build",
    "TabulatedPolicy": "nurture_rl.ope.targets",
    "TunedRulesConfig": "nurture_rl.rl.rule_search",
    "admit": "nurture_rl.interchange.admission",
    "appraise": "nurture_rl.appraisal.appraise",
    "build_policy": "nurture_rl.policies.build",
    "evaluation_log": "nurture_rl.ope.log",
    "fit_linear_thompson": "nurture_rl.bandits.linear_thompson",
    "load_bundle": "nurture_rl.release.bundle",
    "read_feedback": "nurture_rl.interchange.bandit_feedback",
    "read_frame": "nurture_rl.interchange.frames",
    "search_rules": "nurture_rl.rl.rule_search",
    "train_ppo": "nurture_rl.rl.ppo",
}


def __getattr__(name: str) -> Any:
    """What a user imports from here is loaded when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The names that a user imports."""
    return __all__
