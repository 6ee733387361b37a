"""Does a fitted world know what a send does, when the sender knew who would come anyway?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.common.played import play_informed, played_data
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import next_episode, population_keys
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.inbound_lead import InboundLeadParams, InboundLeadWorld
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import View
from nurture_rl.decisions import BoolArray, FloatArray
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.training_data import training_data

Taste = Callable[[NDArray[np.float32], Mapping[str, NDArray[Any]]], FloatArray]

MESSAGE, OUTCOME = "book_a_call", "meeting_booked"
LEAST, MOST = 0.05, 0.95  # chance of a send to those the sender likes least and most
FREQUENT = -4.2  # log-odds of a meeting without readiness: some 40 of 100 leads book one
_LUCKS = 8  # answers asked of each contact and action: the truth's error is below a fit's
_FITTED_ROWS = 20_000  # rows a fitted effect is averaged over, evenly spaced


@dataclass(frozen=True)
class Picker:
    """Sends one message to those it likes, waits for the others, and logs its chances."""

    sends: BoolArray  # [a], the message in any slot
    wait: int
    taste: Taste  # log-odds of a send

    @classmethod
    def of(cls, simulation: Simulation, taste: Taste) -> Picker:
        """A sender of `MESSAGE` in a world that has it."""
        actions = simulation.catalog.actions
        sends = [a.message is not None and a.message.id == MESSAGE for a in actions]
        return cls(np.array(sends), simulation.catalog.wait, taste)

    def informed_probabilities(
        self, features: NDArray[np.float32], mask: BoolArray, latent: Mapping[str, NDArray[Any]]
    ) -> FloatArray:
        """Probabilities of each action, [n, a]."""
        open_ = mask & self.sends
        chance = LEAST + (MOST - LEAST) / (1.0 + np.exp(-self.taste(features, latent)))
        chance = chance * open_.any(axis=1)
        chosen = chance[:, None] * open_ / np.maximum(open_.sum(axis=1, keepdims=True), 1)
        chosen[:, self.wait] += 1.0 - chance
        return np.asarray(chosen, np.float64)


def study_world() -> Simulation:
    """Inbound leads who book so often that a log of a few thousand can tell what a send does."""
    params = InboundLeadParams(meeting_base=FREQUENT)
    return Simulation(InboundLeadWorld(load_journey("inbound_lead"), params))


def tastes(simulation: Simulation) -> dict[str, Taste]:
    """Ways to choose: by lot, by hidden readiness, and by a curved function of a feature."""
    views = simulation.spec.columns.index("views_3d")

    def by_lot(features: NDArray[np.float32], latent: Mapping[str, NDArray[Any]]) -> FloatArray:
        return np.zeros(len(features))

    def hand_picked(
        features: NDArray[np.float32], latent: Mapping[str, NDArray[Any]]
    ) -> FloatArray:
        return np.asarray(4.0 * (latent["ready"].astype(np.float64) - 1.0))

    def curved(features: NDArray[np.float32], latent: Mapping[str, NDArray[Any]]) -> FloatArray:
        return np.where((features[:, views] >= 2) & (features[:, views] <= 4), 4.0, -2.0)

    return {"by lot": by_lot, "hand-picked": hand_picked, "curved": curved}


@dataclass(frozen=True, slots=True)
class SendEffect:
    """Meetings that a send adds in its own bin, per decision in which it was legal."""

    sender: str
    seed: int
    truth: float  # by asking the world what each contact does when sent to, and when not
    naive: float  # share with a meeting among those sent to, less that among the others
    unweighted: float  # of a world fitted without weights
    weighted: float  # of a world fitted with propensity weights
    effective_share: float  # of the decisions, after weighting


def send_effect(
    simulation: Simulation, sender: str, n: int, seed: int, config: WorldConfig
) -> SendEffect:
    """One log of n contacts, the truth about them, and what worlds fitted to the log believe."""
    policy = Picker.of(simulation, tastes(simulation)[sender])
    data = played_data(simulation, policy, n, seed)
    fitted, effective = {}, 1.0
    for weighting in ("none", "propensity"):
        made = training_data(data, simulation.journey, weighting, "declared")
        world = fit_world(made.data, simulation.journey, config, seed, _silent).world
        fitted[weighting] = fitted_effect(world, data, policy)
        if made.weights is not None:
            effective = made.weights.effective_rows / made.weights.rows
    return SendEffect(
        sender=sender,
        seed=seed,
        truth=true_effect(simulation, policy, n, seed),
        naive=naive_effect(simulation, data, policy),
        unweighted=fitted["none"],
        weighted=fitted["propensity"],
        effective_share=effective,
    )


def effect_table(effects: Sequence[SendEffect]) -> str:
    """Means over the logs in percentage points, errors in brackets, as Markdown.

    The error of an estimate is that of its mean difference to the truth of the same log; one log
    has none.
    """
    names = ("naive", "unweighted", "weighted")
    lines = [
        "| sender | logs | truth | naive | world, unweighted | world, weighted | effective rows |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for sender in dict.fromkeys(one.sender for one in effects):
        logs = [one for one in effects if one.sender == sender]
        truth = np.array([one.truth for one in logs])
        cells = [sender, str(len(logs)), f"{100 * truth.mean():.2f}"]
        for name in names:
            found = np.array([getattr(one, name) for one in logs])
            error = (found - truth).std(ddof=1) / np.sqrt(len(logs)) if len(logs) > 1 else np.nan
            cells.append(f"{100 * found.mean():.2f} ({100 * error:.2f})")
        cells.append(f"{np.mean([one.effective_share for one in logs]):.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def true_effect(simulation: Simulation, policy: Picker, n: int, seed: int) -> float:
    """Intervene on every decision of the policy's own log: send, and wait, at equal luck."""
    keys = population_keys(seed, n, simulation.device)
    sends = torch.as_tensor(policy.sends, device=simulation.device)
    send = int(policy.sends.argmax())
    added, decisions = 0.0, 0
    for step in play_informed(simulation, policy, keys):
        legal = step.alive & step.decision.mask[:, sends].any(dim=1)
        luck = keys
        for _ in range(_LUCKS):
            luck = next_episode(luck)
            after = [_meetings(simulation, step.decision.features, step.state, a, luck)
                     for a in (send, policy.wait)]  # fmt: skip
            added += float((after[0] - after[1])[legal].sum()) / _LUCKS
        decisions += int(legal.sum())
    return added / decisions


def naive_effect(simulation: Simulation, data: WorldData, policy: Picker) -> float:
    """What a dashboard would show."""
    met = data.amounts[:, simulation.journey.channel_index(OUTCOME)] > 0
    legal, sent = _open(data, policy), policy.sends[data.action]
    return float(met[legal & sent].mean() - met[legal & ~sent].mean())


@torch.no_grad()
def fitted_effect(world: LearnedWorld, data: WorldData, policy: Picker) -> float:
    """What the fitted hazards say a send adds, over the log's own contexts."""
    rows = np.flatnonzero(_open(data, policy))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _FITTED_ROWS)).astype(np.int64)]
    features = torch.as_tensor(data.features[rows]).T
    head = Heads.of(world.journey).counts.index(OUTCOME)
    send, wait = (
        float(world.hazards(features, torch.full((len(rows),), action))[:, head].mean())
        for action in (int(policy.sends.argmax()), policy.wait)
    )
    return send - wait


def _meetings(
    simulation: Simulation, features: Tensor, state: Any, action: int, luck: Tensor
) -> Tensor:
    actions = torch.full_like(state.bins, action)
    view = View(features.T, actions, state.bins, state.anchor_us, state.latent)
    amounts = simulation.world.respond(view, luck).amounts
    return (amounts[simulation.journey.channel_index(OUTCOME)] > 0).float()


def _open(data: WorldData, policy: Picker) -> BoolArray:
    """Decisions in which the message could be sent."""
    return np.asarray(data.mask[:, policy.sends].any(axis=1))


def _silent(epoch: int, loss: float) -> None:
    """Says nothing."""
