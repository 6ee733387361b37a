"""Named columns that describe actions, so that a new message borrows from messages like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nurture_envs.actions import NOW, Action, ActionCatalog

_OWN = 0.3  # a message's own column: prior deviation as a share of that of a factor level
_ORDERS = (1, 2)  # waves a day
_FACTORS = ("job", "topic", "proof", "offer", "call_to_action", "channel")


@dataclass(frozen=True, slots=True)
class ActionColumns:
    """What each column of an action's description means; fitted worlds keep the names.

    Columns are the routing, a pause's length, one per level of each factor of the message, waves
    of the hour of sending, and one per message. The last are scaled down: under one Gaussian prior
    on all columns a message's effect is what its factors say, unless its own log insists.
    """

    names: tuple[str, ...]  # [k]

    @classmethod
    def of(cls, catalog: ActionCatalog) -> ActionColumns:
        """The columns in which the catalogue's actions differ.

        A level that every send shares says what `routing=send` says, and is left out.
        """
        described = [describe(action) for action in catalog.actions]
        sends = [row for row in described if "routing=send" in row]
        shared = {
            name
            for name in (sends[0] if sends else ())
            if not name.startswith(("routing=", "message="))
            and len({row.get(name) for row in sends}) == 1
        }
        return cls(tuple(dict.fromkeys(n for row in described for n in row if n not in shared)))

    def encode(self, rows: list[dict[str, float]]) -> Tensor:
        """Descriptions as numbers, [n, k] f32; what no column names is left out."""
        return torch.tensor([[row.get(name, 0.0) for name in self.names] for row in rows])

    def of_catalog(self, catalog: ActionCatalog) -> Tensor:
        """Every action of a catalogue, [a, k] f32; messages no column names have factors only."""
        return self.encode([describe(action) for action in catalog.actions])


def describe(action: Action, hour: float | None = None) -> dict[str, float]:
    """Columns of one action that are not 0, by name.

    Args:
        action: what is done.
        hour: local hour in [0, 24) to send at in place of the action's slot.
    """
    row = {f"routing={action.routing}": 1.0}
    if action.routing == "pause":
        row[f"pause={action.bins}"] = 1.0
    if action.message is None:
        return row
    row |= {f"{factor}={getattr(action.message, factor)}": 1.0 for factor in _FACTORS}
    at = hour if hour is not None else None if action.slot == NOW else float(action.slot)
    if at is None:
        row["slot=now"] = 1.0
    else:
        for order in _ORDERS:
            angle = 2.0 * np.pi * order * at / 24.0
            row[f"hour=sin{order}"] = float(np.sin(angle))
            row[f"hour=cos{order}"] = float(np.cos(angle))
    row[f"message={action.message.id}"] = _OWN
    return row


def likeness(action: Action, other: Action) -> int:
    """How many descriptions two actions share; the routing outweighs all the rest together."""
    mine, theirs = describe(action), describe(other)
    same = sum(theirs.get(name) == value for name, value in mine.items())
    return same + len(_FACTORS) * 2 * (action.routing == other.routing)
