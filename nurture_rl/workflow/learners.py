"""Every learner by name: its settings, what it learns from, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nurture_rl.bandits.boltzmann import BoltzmannConfig, fit_boltzmann
from nurture_rl.bandits.bootstrapped_thompson import (
    BootstrappedThompsonConfig,
    fit_bootstrapped_thompson,
)
from nurture_rl.bandits.cost_sensitive import CostSensitiveConfig, fit_cost_sensitive
from nurture_rl.bandits.difference_softmax import (
    DifferenceSoftmaxConfig,
    fit_difference_softmax,
)
from nurture_rl.bandits.dr_policy import DRPolicyConfig, fit_dr_policy
from nurture_rl.bandits.engagement_window import EngagementWindowConfig, fit_engagement_window
from nurture_rl.bandits.epsilon_greedy import EpsilonGreedyConfig, fit_epsilon_greedy
from nurture_rl.bandits.ipw_policy import IPWPolicyConfig, fit_ipw_policy
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.linucb import LinUCBConfig, fit_linucb
from nurture_rl.bandits.logistic_thompson import LogisticThompsonConfig, fit_logistic_thompson
from nurture_rl.bandits.mips_policy import MIPSPolicyConfig, fit_mips_policy
from nurture_rl.bandits.neural_linear_thompson import (
    NeuralLinearThompsonConfig,
    fit_neural_linear_thompson,
)
from nurture_rl.bandits.send_time_policy import SendTimeConfig, fit_send_time, send_time_verdict
from nurture_rl.bandits.squarecb import SquareCBConfig, fit_squarecb
from nurture_rl.rl.bc import BCConfig, train_bc
from nurture_rl.rl.bcq import BCQConfig, train_bcq
from nurture_rl.rl.cql import CQLConfig, train_cql
from nurture_rl.rl.crr import CRRConfig, train_crr
from nurture_rl.rl.decision_transformer import (
    DecisionTransformerConfig,
    memory_verdict,
    train_decision_transformer,
)
from nurture_rl.rl.dqn import DQNConfig, train_dqn
from nurture_rl.rl.fqi import FQIConfig, train_fqi
from nurture_rl.rl.iql import IQLConfig, train_iql
from nurture_rl.rl.online_dqn import OnlineDQNConfig, train_online_dqn
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from nurture_rl.rl.qr_dqn import QRDQNConfig, train_qr_dqn
from nurture_rl.rl.return_conditioned import ReturnConditionedConfig, train_return_conditioned
from nurture_rl.rl.rule_search import TunedRulesConfig, search_rules


class Source(StrEnum):
    """What a learner learns from."""

    LOG = "log"  # decisions of the training contacts
    WORLD = "world"  # episodes played in the learned world


@dataclass(frozen=True, slots=True)
class Learner:
    """One way of learning a policy."""

    settings: type[Any]  # its record of settings
    source: Source
    # From a log: (TrainingLog, settings, seed, progress) -> ScoredPolicy.
    # In a world: (Simulation, settings, seed, progress, region) -> ScoredPolicy, or rules.
    learn: Callable[..., Any]
    # Of one from a log: whether it takes the trust region of the release, as `region`.
    held: bool = False
    # What the fit of a policy says of the log, in a line; None: nothing that needs saying.
    verdict: Callable[[Mapping[str, float]], str] | None = None


NO_LEARNER = "none"  # of policies that are written, not learned
LEARNERS: dict[str, Learner] = {
    "bc": Learner(BCConfig, Source.LOG, train_bc),
    "bcq": Learner(BCQConfig, Source.LOG, train_bcq, held=True),
    "cql": Learner(CQLConfig, Source.LOG, train_cql, held=True),
    "crr": Learner(CRRConfig, Source.LOG, train_crr),
    "decision_transformer": Learner(
        DecisionTransformerConfig,
        Source.LOG,
        train_decision_transformer,
        verdict=memory_verdict,
    ),
    "dqn": Learner(DQNConfig, Source.LOG, train_dqn, held=True),
    "fqi": Learner(FQIConfig, Source.LOG, train_fqi, held=True),
    "iql": Learner(IQLConfig, Source.LOG, train_iql),
    "boltzmann": Learner(BoltzmannConfig, Source.LOG, fit_boltzmann),
    "bootstrapped_thompson": Learner(
        BootstrappedThompsonConfig, Source.LOG, fit_bootstrapped_thompson
    ),
    "cost_sensitive": Learner(CostSensitiveConfig, Source.LOG, fit_cost_sensitive),
    "difference_softmax": Learner(DifferenceSoftmaxConfig, Source.LOG, fit_difference_softmax),
    "dr_policy": Learner(DRPolicyConfig, Source.LOG, fit_dr_policy),
    "engagement_window": Learner(EngagementWindowConfig, Source.LOG, fit_engagement_window),
    "epsilon_greedy": Learner(EpsilonGreedyConfig, Source.LOG, fit_epsilon_greedy),
    "ipw_policy": Learner(IPWPolicyConfig, Source.LOG, fit_ipw_policy),
    "linear_thompson": Learner(LinearThompsonConfig, Source.LOG, fit_linear_thompson),
    "linucb": Learner(LinUCBConfig, Source.LOG, fit_linucb),
    "logistic_thompson": Learner(LogisticThompsonConfig, Source.LOG, fit_logistic_thompson),
    "mips_policy": Learner(MIPSPolicyConfig, Source.LOG, fit_mips_policy),
    "neural_linear_thompson": Learner(
        NeuralLinearThompsonConfig, Source.LOG, fit_neural_linear_thompson
    ),
    "online_dqn": Learner(OnlineDQNConfig, Source.WORLD, train_online_dqn),
    "ppo": Learner(PPOConfig, Source.WORLD, train_ppo),
    "qr_dqn": Learner(QRDQNConfig, Source.LOG, train_qr_dqn, held=True),
    "return_conditioned": Learner(ReturnConditionedConfig, Source.LOG, train_return_conditioned),
    "send_time": Learner(SendTimeConfig, Source.LOG, fit_send_time, verdict=send_time_verdict),
    "squarecb": Learner(SquareCBConfig, Source.LOG, fit_squarecb),
    "tuned_rules": Learner(TunedRulesConfig, Source.WORLD, search_rules),
}


def plays_in_world(learner: str) -> bool:
    """Whether it learns in the learned world."""
    return learner in LEARNERS and LEARNERS[learner].source is Source.WORLD
