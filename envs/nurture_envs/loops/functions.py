"""A world's functions as loops, and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nurture_envs.loops import loop_records
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.world import Start


@dataclass(frozen=True, slots=True)
class Loop:
    """One of a world's functions as a loop over a tile."""

    run: Any  # of `emitting.SIGNATURE`
    model: loop_records.Model
    rows: dict[str, int]  # of scratch


@dataclass(frozen=True, slots=True)
class WorldLoops:
    """A world's functions as loops, and how many latents of each kind its contacts have."""

    start: Loop
    answer: Loop
    latents: tuple[int, int, int]  # floats, whole numbers, flags
    known: int  # bins from before entry

    @property
    def rows(self) -> dict[str, int]:
        """Rows that each scratch array needs."""
        both = (self.start.rows, self.answer.rows)
        return {array: max(rows.get(array, 1) for rows in both) for array in "fqbd"}


@dataclass(frozen=True, slots=True)
class TorchWorld:
    """A world that answers in torch, and how its beginnings are handed to loops."""

    begins: loop_records.Wholes  # rows of its beginnings, see `beginning`
    known: int  # bins from before entry
    rows: dict[str, int]  # that each scratch array needs
    latents: tuple[int, int, int] = (0, 0, 0)  # loops carry none

    @classmethod
    def of(cls, simulation: Simulation) -> TorchWorld:
        """The world of a simulation."""
        known = len(simulation.world.start(contact_keys(0, 1)).past.ring)
        columns, kept = len(simulation.spec.attribute_columns), len(simulation.running.kept)
        channels = len(simulation.journey.channels)
        # Attributes and ring; key, anchor and last times; three flags.
        begins = np.array([0, known, columns, 2, 1, 0, 1, 2], np.int64)
        floats = max(1, channels, columns + known * kept)
        return cls(begins, known, {"f": floats, "q": 2 + channels, "b": 3, "d": 1})

    @staticmethod
    def beginnings(simulation: Simulation, keys: Tensor, start: Start) -> tuple[Any, Any, Any]:
        """Contacts as they enter, as rows of floats, whole numbers and flags, [.., n] each."""
        ring = start.past.ring[:, simulation.running.kept].reshape(-1, len(keys))
        last = start.past.last.to(torch.int64)
        parts = (
            torch.cat([start.attributes, ring]).to(torch.float32),
            torch.cat([keys[None], start.anchor_us[None], last]),
            torch.stack([start.zone_known, start.consent, start.available]),
        )
        floats, wholes, flags = (part.contiguous().numpy() for part in parts)
        return floats, wholes, flags
