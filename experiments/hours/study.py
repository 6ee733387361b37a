"""Does a fitted world know what each hour of the week is worth, slots or not?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.common.played import played_data
from experiments.hours.figure import SHAPE, FloatArray, HourSurfaces
from experiments.hours.surface import hour_surface
from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, weekday_of
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import next_episode, population_keys
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import View, World
from nurture_rl.policies.references import Random
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.network_training import Progress
from nurture_rl.simulator.training_data import training_data

_DAYS, _HOURS = SHAPE
_SEND, _WAIT = 0.4, 0.6  # the logging policy: any legal message and slot alike
_ASKED_SEED = 700_001  # of contacts that no log has


@dataclass(frozen=True, slots=True)
class HourQuestion:
    """What is asked of both worlds."""

    message: str  # its id
    signals: tuple[str, ...]
    contacts: int = 4000  # asked in the true world, as they enter
    lucks: int = 32  # answers of each of them, equal over the hours
    fitted_contacts: int = 300  # asked in the learned world, whose chances need less luck
    draws: int = 16  # plays of a bin that its chances are the mean of


def hour_study(
    simulation: Simulation,
    question: HourQuestion,
    contacts: int,
    seed: int,
    config: WorldConfig,
    progress: Progress,
) -> list[HourSurfaces]:
    """A log that explores slots, a world fitted to it, and both worlds' answers by hour.

    Args:
        simulation: of the reference world.
        question: what is asked; contacts that are asked are in no log.
        contacts: of the log.
        seed: of the log and the fit.
        config: of the fit.
        progress: called after each epoch of the fit.

    Raises:
        FitError: too few contacts.
        WorldError: the journey does not send the message.
    """
    journey = simulation.journey
    policy = Random(simulation.catalog, (("send", _SEND), ("pause", _WAIT)))
    log = played_data(simulation, policy, contacts, seed)
    made = training_data(log, journey, config.weighting, config.delays)
    world = fit_world(made.data, journey, config, seed, progress).world
    truth = true_hours(simulation.world, question)
    learned = learned_hours(world, simulation, question)
    sent = slots_sent(log, simulation.catalog)
    return [
        HourSurfaces(signal, truth[signal], learned[signal], sent) for signal in question.signals
    ]


def every_hour(journey: Journey) -> Journey:
    """The journey with a slot at each full hour; nobody is kept from being asked at night."""
    resolved = journey.resolved
    rules = {k: v for k, v in resolved["guardrails"].items() if k != "quiet_hours"}
    actions = {**resolved["actions"], "slots": list(range(_HOURS))}
    return parse_journey({**resolved, "actions": actions, "guardrails": rules})


def hourly(world: World) -> Simulation:
    """The reference world with a slot at each full hour, see `every_hour`."""
    return Simulation(replace(world, journey=every_hour(world.journey)))  # type: ignore[type-var]


def true_hours(world: World, question: HourQuestion) -> dict[str, FloatArray]:
    """Chance of each signal after a send at each hour of each day, [7, 24], by asking the world.

    Every cell asks the same contacts with the same luck; their entry moves to the weekday of the
    week they entered in.

    Args:
        world: a reference world, which is asked with a slot at each hour.
        question: what is asked.
    """
    simulation = hourly(world)
    state = simulation.begin(population_keys(_ASKED_SEED, question.contacts))
    features = simulation.decision(state).features.T
    rows = [simulation.journey.channel_index(signal) for signal in question.signals]
    found = torch.zeros(len(rows), _DAYS, _HOURS, dtype=torch.float64)
    for day in range(_DAYS):
        anchor_us = state.anchor_us + (day - weekday_of(state.anchor_us)) * DAY_US
        for hour in range(_HOURS):
            action = simulation.catalog.index(f"send:{question.message}@{hour:02d}")
            actions = torch.full_like(state.bins, action)
            view = View(features, actions, state.bins, anchor_us, state.latent)
            for luck in _lucks(state.keys, question.lucks):
                happened = simulation.world.respond(view, luck).amounts[rows] > 0
                found[:, day, hour] += happened.double().mean(dim=1)
    shares = (found / question.lucks).numpy()
    return dict(zip(question.signals, shares, strict=True))


@torch.no_grad()
def learned_hours(
    world: LearnedWorld, simulation: Simulation, question: HourQuestion
) -> dict[str, FloatArray]:
    """What the world believes of such contacts, mean over its members, [7, 24] by signal."""
    state = simulation.begin(population_keys(_ASKED_SEED, question.fitted_contacts))
    features = simulation.decision(state).features.T.contiguous()
    hours = [float(hour) for hour in range(_HOURS)]
    chance = hour_surface(world, features, question.message, hours, draws=question.draws)
    heads = Heads.of(world.journey).counts
    return {
        signal: chance[:, heads.index(signal)].mean(dim=0).double().numpy()
        for signal in question.signals
    }


def slots_sent(log: WorldData, catalog: ActionCatalog) -> NDArray[np.bool_]:
    """Hours of the week at which the log sends, [7, 24]."""
    timed = (catalog.routed("send") & (catalog.slots != NOW))[log.action]
    hour, day = catalog.slots[log.action[timed]], weekday_of(log.when[timed] * DAY_US)
    sent = np.zeros(SHAPE, bool)
    sent[day, hour] = True
    return sent


def _lucks(keys: Tensor, count: int) -> Iterator[Tensor]:
    """Keys of the same contacts in so many episodes."""
    for _ in range(count):
        yield keys
        keys = next_episode(keys)
