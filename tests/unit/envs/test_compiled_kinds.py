"""Kinds of features that no shipped journey has: compiled loops give what the plain code gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_envs.clock import DAY_US
from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.features import FeatureSpec, History
from nurture_envs.journey import Journey
from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays
from tests.unit.envs.toy_journey import toy

BINS = 30
JOURNEY = toy(
    clock={"period_hours": 24, "slots_hours": [0, 9.5], "periods": 6},
    features={
        "heat": {"kind": "decayed", "of": ["clicked", "warm"], "window": 5, "half_life": 1.5},
        "money": {"kind": "decayed", "of": ["bought.value"], "window": 3, "half_life": 4},
        "rising": {"kind": "trend", "of": ["clicked", "warm"], "window": 3},
        "topics": {"kind": "distinct", "of": ["sent_*"], "by": "topic", "window": 4},
        "topic": {"kind": "affinity", "of": ["sent_*"], "by": "topic", "window": 4},
        "hour": {"kind": "affinity", "of": ["clicked", "hot"], "by": "slot", "window": 6},
    },
    rules=[],
    drip={},
)


@dataclass(frozen=True)
class DrawnWorld:
    """Contacts click, buy and warm up as luck has it, and come with a past of one bin."""

    journey: Journey

    @property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey)

    def start(self, keys: Tensor) -> Start:
        """Who clicked, by luck."""
        channels = [torch.zeros_like(keys).float() for _ in self.journey.channels]
        drawn = uniforms(keys, -1, 31, 1)
        channels[self.journey.channel_index("clicked")] = (drawn[0] < 0.5).float()
        nobody = torch.zeros_like(keys) > 1
        columns = len(FeatureSpec.of(self.journey).attribute_columns)
        return Start(
            attributes=torch.zeros((columns, keys.shape[0])),
            past=History.of_bin(torch.stack(channels)),
            anchor_us=torch.zeros_like(keys) + 20_549 * DAY_US,
            zone_known=~nobody,
            consent=~nobody,
            available=~nobody,
            latent={},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Each signal by a draw of its own."""
        rows = [torch.zeros_like(keys).float() for _ in self.journey.channels]
        drawn = uniforms(keys, view.bins, 32, 5)
        place = self.journey.channel_index
        for i, name in enumerate(("clicked", "warm", "hot")):
            rows[place(name)] = (drawn[i] < 0.4).float()
        buys = drawn[3] < 0.4
        rows[place("bought")] = buys.float()
        rows[place("bought.value")] = torch.where(buys, torch.floor(drawn[4] * 64.0) / 8.0 - 4.0, 0)
        return Outcome(torch.stack(rows), view.bins >= 0, {})


@pytest.mark.slow
def test_compiled_features_of_every_newer_kind_are_the_plain_ones_bit_for_bit() -> None:
    n = 70
    envs = [
        ContactVectorEnv(DrawnWorld(JOURNEY), n, compiled=compiled) for compiled in (False, True)
    ]
    shown = [env.reset(seed=3) for env in envs]
    rng, seen = np.random.default_rng(1), []
    for _ in range(BINS):
        (plain, info), (loops, _) = shown
        assert plain.tobytes() == loops.tobytes()
        seen.append(plain)
        action = (rng.random(info["action_mask"].shape) * info["action_mask"]).argmax(axis=1)
        steps = [env.step(action) for env in envs]
        shown = [(step[0], step[-1]) for step in steps]
    spread = np.concatenate(seen)
    least = [len(np.unique(column)) for column in spread.T]
    assert min(least) > 2, dict(zip(envs[0].feature_names, least, strict=True))
