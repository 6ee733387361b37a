"""Logs of the inbound-lead reference world, and worlds that are wrong in one way each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common.played import played_data
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.effects import MailParams
from nurture_envs.worlds.inbound_lead import InboundLeadParams, InboundLeadWorld
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import declared_delays
from nurture_rl.policies.references import Random
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.gap.report import GapReport, reality_gap
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.simulator.network_training import TrainingConfig
from nurture_rl.simulator.training_data import training_data

FEATURE_THAT_LEAKS = "clicks_14d"
QUICK = WorldConfig(
    members=1,
    hidden=(32,),
    training=TrainingConfig(epochs=12, learning_rate=6e-3),
)


@lru_cache(maxsize=1)
def journey() -> Journey:
    """Inbound leads who may be mailed often enough for fatigue to show."""
    given = load_journey("inbound_lead").resolved
    rails = {
        **given["guardrails"],
        "frequency_caps": [{"max": 10, "hours": 336}],
        "min_gap_hours": 20,
    }
    return parse_journey({**given, "guardrails": rails})


@lru_cache(maxsize=1)
def logging_policy() -> Random:
    """Business as usual with full exploration."""
    weights = (("pause", 0.5), ("send", 0.44), ("escalate", 0.05), ("exit", 0.01))
    return Random(ActionCatalog.of(journey()), weights)


@dataclass(frozen=True)
class Salesperson:
    """Sends more to leads whose readiness it senses; no log holds what it senses."""

    def informed_probabilities(
        self,
        features: NDArray[np.float32],
        mask: NDArray[np.bool_],
        latent: Mapping[str, NDArray[Any]],
    ) -> NDArray[np.float64]:
        """Sends to contacts of high readiness up to seven times as often as to others."""
        table = logging_policy().action_probabilities(features, mask)
        tilt = np.exp(np.clip(1.2 * (latent["ready"] - 0.6), -2.0, 2.0))
        send = ActionCatalog.of(journey()).routed("send")
        table = table * np.where(send, tilt[:, None], 1.0)
        return np.asarray(table / table.sum(axis=1, keepdims=True))


def reference(half_life: float | None = None) -> InboundLeadWorld:
    """The world the logs come from, or one in which fatigue fades at another pace."""
    if half_life is None:
        return InboundLeadWorld(journey())
    mail = replace(InboundLeadParams().mail, fatigue_half_life=half_life)
    assert isinstance(mail, MailParams)
    return InboundLeadWorld(journey(), replace(InboundLeadParams(), mail=mail))


@lru_cache(maxsize=6)
def log(n: int, seed: int, confounded: bool = False) -> WorldData:
    """What n contacts did under the logging policy, or under the salesperson."""
    policy = Salesperson() if confounded else logging_policy()
    return played_data(Simulation(reference()), policy, n, seed)


def fitted(data: WorldData, weighting: str = "propensity", seed: int = 0) -> LearnedWorld:
    """A small world fitted quickly."""
    ready = training_data(data, journey(), weighting, "fitted").data
    return fit_world(ready, journey(), QUICK, seed, lambda epoch, loss: None).world


def leaked(data: WorldData) -> WorldData:
    """A log whose count of clicks already holds those of the bin it is to predict."""
    clicks = [journey().channel_index(c) for c in journey().channels if c.startswith("clicked_")]
    features = data.features.copy()
    column = FeatureSpec.of(journey()).column(FEATURE_THAT_LEAKS)
    features[:, column] += data.amounts[:, clicks].sum(axis=1).astype(np.float32)
    return replace(data, features=features)


def shuffled(data: WorldData, seed: int) -> WorldData:
    """A log whose distributions belong to other decisions that had the same legal actions."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(data.action))
    _, kind = np.unique(data.mask, axis=0, return_inverse=True)
    for one in range(int(kind.max()) + 1):
        inside = np.flatnonzero(kind == one)
        rows[inside] = rng.permutation(inside)
    table = data.probabilities[rows]
    return replace(data, probabilities=table, propensity=table[np.arange(len(rows)), data.action])


def punctual(world: InboundLeadWorld) -> InboundLeadWorld:
    """The same world, in which everything is known as soon as the journey declares."""
    return _Punctual(world.journey, world.params)


class _Punctual(InboundLeadWorld):
    @property
    def delays(self) -> torch.Tensor:
        return declared_delays(self.journey)


def gap(
    world: InboundLeadWorld | LearnedWorld, held_out: WorldData, known: bool = True, seed: int = 0
) -> GapReport:
    """The report, with the logging policy given or estimated."""
    policy = logging_policy() if known else None
    config = GapConfig(ratio=1.0)
    return reality_gap(world, held_out, policy, config, np.random.default_rng(seed))
