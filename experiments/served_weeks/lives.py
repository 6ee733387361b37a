"""Contacts who come day by day, and whatever their world answers to what is decided for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.served_weeks.programme import DAYS, FIRST_DAY
from nurture_envs.clock import DAY_US
from nurture_envs.simulation import Simulation, Transition
from nurture_envs.simulation_state import PolicyInput, SimulationState, select
from nurture_envs.worlds.draws import START, population_keys, uniforms

_ARRIVALS = 61  # stream of the days on which contacts come


@dataclass(frozen=True, slots=True)
class Morning:
    """The contacts whose day begins."""

    who: NDArray[np.int64]  # rows among all, [m]
    state: SimulationState
    decision: PolicyInput  # what their world says of features and legal actions


def arrivals(simulation: Simulation, seed: int, n: int, days: int = DAYS) -> SimulationState:
    """n contacts at the start of their first day, which chance draws among the days."""
    state = simulation.begin(population_keys(seed, n))
    day = (uniforms(state.keys, START, _ARRIVALS, 1)[0].double() * days).long()
    return replace(state, anchor_us=(FIRST_DAY + day) * DAY_US)


class Lives:
    """Plays contacts day by day; each bin of their journey is a day of the calendar."""

    def __init__(self, simulation: Simulation, start: SimulationState) -> None:
        self.simulation, self._start = simulation, start
        self._came = start.anchor_us.numpy() // DAY_US
        self._who = np.zeros(0, np.int64)
        self._state = select(start, torch.as_tensor(self._who))

    def days(self) -> Iterator[Morning]:
        """Everybody who lives through a day, on each of them; `act` has to follow each."""
        last = self._came.max() + self.simulation.spec.clock.horizon
        for day in range(self._came.min(), last):
            new = np.flatnonzero(self._came == day)
            self._who = np.concatenate([self._who, new])
            self._state = joined(self._state, select(self._start, torch.as_tensor(new)))
            yield Morning(self._who, self._state, self.simulation.decision(self._state))

    def act(self, morning: Morning, action: NDArray[np.int64]) -> Transition:
        """What the day brings; who has come to an end leaves."""
        made = torch.as_tensor(action)
        after = self.simulation.step(morning.state, morning.decision, made)
        alive = torch.nonzero(~(after.terminated | after.truncated))[:, 0]
        self._who, self._state = self._who[alive.numpy()], select(after.state, alive)
        return after


def joined(one: Any, other: Any) -> Any:
    """Contacts of two states of a simulation in one; contacts are the last dimension."""
    if isinstance(one, Tensor):
        return torch.cat([one, other], dim=-1)
    if isinstance(one, tuple):
        return tuple(joined(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return {name: joined(part, other[name]) for name, part in one.items()}
    if is_dataclass(one) and not isinstance(one, type):
        both = {f.name: joined(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)}
        return replace(one, **both)
    return one
