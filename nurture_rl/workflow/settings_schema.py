"""The schemas that Hydra composes against: a typed value for every key."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from nurture_rl.workflow.interchange import InterchangeConfig
from nurture_rl.workflow.ope_config import OpeConfig
from nurture_rl.workflow.run_config import (
    LinearThompsonPolicyConfig,
    PPOPolicyConfig,
    RunConfig,
    TunedRulesPolicyConfig,
)


def register_schemas() -> None:
    """Make every schema known to Hydra; roots under `configs/` begin with one of them."""
    store = ConfigStore.instance()
    store.store(name="run_schema", node=RunConfig)
    store.store(name="ope_schema", node=OpeConfig)
    store.store(name="interchange_schema", node=InterchangeConfig)
    learning = {
        "ppo_schema": PPOPolicyConfig,
        "linear_thompson_schema": LinearThompsonPolicyConfig,
        "tuned_rules_schema": TunedRulesPolicyConfig,
    }
    for name, policy in learning.items():
        store.store(group="policy", name=name, node=policy)
