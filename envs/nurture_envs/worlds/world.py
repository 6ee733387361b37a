"""What every world offers: how contacts start, and how they answer an action in a bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from nurture_envs.features import FeatureState
from nurture_envs.journey import Journey


@dataclass(frozen=True, slots=True)
class Start:
    """n contacts at the start of their first bin."""

    attributes: Tensor  # [n, attribute columns] f32, encoded by the feature spec
    past: FeatureState  # what is known from before entry
    anchor_us: Tensor  # [n] i64: local wall time of the episode's anchor, microseconds
    zone_known: Tensor  # [n] bool
    consent: Tensor  # [n] bool
    available: Tensor  # [n] bool, in the first bin
    latent: dict[str, Tensor]  # what the world remembers and no policy sees; first dimension n


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one bin brought."""

    amounts: Tensor  # [n, c] f32: channel sums made by the contacts; the action's own come on top
    available: Tensor  # [n] bool: can be reached in the next bin
    latent: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class View:
    """What the contacts answer to in a bin."""

    features: Tensor  # [n, d] f32: the decision's features
    action: Tensor  # [n] i64: catalogue index, legal
    bins: Tensor  # [n] i64
    anchor_us: Tensor  # [n] i64
    latent: dict[str, Tensor]


class World(Protocol):
    """How contacts answer; a pure function of per-contact keys."""

    @property
    def journey(self) -> Journey:
        """The journey this world plays."""
        ...

    def start(self, keys: Tensor) -> Start:
        """Contacts as they enter, one per key [n]."""
        ...

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin; draws depend on `keys` [n] and `view.bins` alone."""
        ...
