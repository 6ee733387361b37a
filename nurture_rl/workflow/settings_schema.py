"""The schemas that Hydra composes against: a typed value for every key."""

from __future__ import annotations

from functools import cache

from hydra.core.config_store import ConfigStore

from nurture_rl.workflow.distil_config import DistilConfig
from nurture_rl.workflow.doctor_config import DoctorConfig
from nurture_rl.workflow.interchange_config import InterchangeConfig
from nurture_rl.workflow.learners import LEARNERS
from nurture_rl.workflow.lift_config import LiftConfig
from nurture_rl.workflow.mine_config import MineConfig
from nurture_rl.workflow.ope_config import OpeConfig
from nurture_rl.workflow.predict_config import PredictConfig
from nurture_rl.workflow.prices_config import PricesConfig
from nurture_rl.workflow.propose_config import ProposeConfig
from nurture_rl.workflow.rounds.plan_config import RoundPlanConfig
from nurture_rl.workflow.rounds.rounds_config import RoundsConfig
from nurture_rl.workflow.run_config import RunConfig, learned_policy_settings


@cache  # Hydra keeps what it was told, and telling it takes a tenth of a second
def register_schemas() -> None:
    """Make every schema known to Hydra; roots under `configs/` begin with one of them.

    Those of policies have a group of their own, so that a sweep over `policy` meets policies alone.
    """
    store = ConfigStore.instance()
    store.store(name="run_schema", node=RunConfig)
    store.store(name="ope_schema", node=OpeConfig)
    store.store(name="distil_schema", node=DistilConfig)
    store.store(name="doctor_schema", node=DoctorConfig)
    store.store(name="interchange_schema", node=InterchangeConfig)
    store.store(name="lift_schema", node=LiftConfig)
    store.store(name="prices_schema", node=PricesConfig)
    store.store(name="propose_rules_schema", node=ProposeConfig)
    store.store(name="rounds_schema", node=RoundsConfig)
    store.store(name="plan_rounds_schema", node=RoundPlanConfig)
    store.store(name="predict_schema", node=PredictConfig)
    store.store(name="mine_schema", node=MineConfig)
    for name in LEARNERS:
        settings = learned_policy_settings(name)
        store.store(group="schemas/policy", name=name, node=settings)
