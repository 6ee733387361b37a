"""What every world offers: how contacts start, and how they answer an action in a bin.

Arrays of worlds are component-major: one contiguous row per feature, channel or draw, one column
per contact, so that every operation runs along contacts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from nurture_envs.features import History
from nurture_envs.journey import Journey


@dataclass(frozen=True, slots=True)
class Start:
    """n contacts at the start of their first bin."""

    attributes: Tensor  # [attribute columns, n] f32, encoded by the feature spec
    past: History  # what is known from before entry
    anchor_us: Tensor  # [n] i64: local wall time of the episode's anchor, microseconds
    zone_known: Tensor  # [n] bool
    consent: Tensor  # [n] bool
    available: Tensor  # [n] bool, in the first bin
    latent: dict[str, Tensor]  # each [n]: remembered by the world, seen by no policy


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one bin brought."""

    amounts: Tensor  # [c, n] f32: channel sums made by the contacts; the action's own come on top
    available: Tensor  # [n] bool: can be reached in the next bin
    latent: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What other contacts of the population did in the bin before; nothing for a lone contact."""

    colleague_sends: Tensor | float = 0.0  # [n] sends to others of the same account
    colleague_talks: Tensor | float = 0.0  # [n] others of the account who began to talk to sales
    inbox_share: Tensor | float = 1.0  # of sent mail, by the sender's reputation


@dataclass(frozen=True, slots=True)
class View:
    """What the contacts answer to in a bin."""

    features: Tensor  # [d, n] f32: the decision's features
    action: Tensor  # [n] i64: catalogue index, legal
    bins: Tensor  # [n] i64
    anchor_us: Tensor  # [n] i64
    latent: dict[str, Tensor]
    around: Surroundings = field(default_factory=Surroundings)


class World(Protocol):
    """How contacts answer; a pure function of per-contact keys."""

    @property
    def journey(self) -> Journey:
        """The journey this world plays."""
        ...

    @property
    def delays(self) -> Tensor:
        """Chance that an event of a channel is known d bins after its own, [D + 1, c]."""
        ...

    def start(self, keys: Tensor) -> Start:
        """Contacts as they enter, one per key [n]."""
        ...

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin; draws depend on `keys` [n] and `view.bins` alone."""
        ...


@runtime_checkable
class HasDisagreement(Protocol):
    """A world of several members that need not agree."""

    def disagreement(self, view: View) -> Tensor:
        """Standard deviation over members of the bin's expected reward, [n], journey's unit."""
        ...


def declared_delays(journey: Journey) -> Tensor:
    """Every event known exactly as late as its signal declares, [D + 1, c]."""
    delays = torch.tensor(journey.delays)
    return torch.nn.functional.one_hot(delays, int(delays.max()) + 1).T.to(torch.float32)
