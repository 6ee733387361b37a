"""What a simulation carries from bin to bin; contacts are the last dimension of every array."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nurture_envs.running_features import RunningState
from nurture_envs.worlds.world import Surroundings


@dataclass(frozen=True, slots=True)
class LateState:
    """Late channels' sums of the D completed bins before, newest first, each with its delay."""

    amounts: tuple[Tensor, ...]  # D of [e, n] f32
    due: tuple[Tensor, ...]  # D of [e, n] f32: bins from happening to being known; 0 at once

    def take(self, rows: Tensor) -> LateState:
        """A copy of the contacts at `rows`."""
        return LateState(
            tuple(part[:, rows] for part in self.amounts), tuple(part[:, rows] for part in self.due)
        )

    def known_now(self, amounts: Tensor, due: Tensor) -> list[Tensor]:
        """Sums that become known as a bin closes, D + 1 of [e, n]; at [d] of the bin d before.

        Args:
            amounts: of the closing bin, [e, n].
            due: their delays, [e, n].
        """
        bins = zip((amounts, *self.amounts), (due, *self.due), strict=True)
        return [some * (late == ago) for ago, (some, late) in enumerate(bins)]

    def after(self, amounts: Tensor, due: Tensor) -> LateState:
        """The state after a bin with these sums and delays, [e, n]."""
        return LateState((amounts, *self.amounts[:-1]), (due, *self.due[:-1]))

    def renewed(self, rows: Tensor) -> LateState:
        """Without what contacts at `rows` had not told yet."""
        return LateState(self.amounts, tuple(due.index_fill(1, rows, 0.0) for due in self.due))


@dataclass(frozen=True, slots=True)
class Company:
    """How contacts of a population bear on each other."""

    account: Tensor  # [n] i64
    around: Surroundings  # what the bin before left
    inbox_share: Tensor  # scalar: of sent mail, by the sender's reputation
    volume: Tensor  # [V] sends of the population in the latest bins, newest first


@dataclass(frozen=True, slots=True)
class SimulationState:
    """n contacts at the start of a bin."""

    keys: Tensor  # [n] i64
    bins: Tensor  # [n] i64
    past: RunningState
    late: LateState | None
    attributes: Tensor  # [attribute columns, n] f32
    anchor_us: Tensor  # [n] i64
    zone_known: Tensor  # [n] bool
    consent: Tensor  # [n] bool
    available: Tensor  # [n] bool
    # [k, n] f64: latest sends, local hours since 1970, newest first, for each of `sends_kept`
    sends_hours: Tensor
    paused_until: Tensor  # [n] i64: first bin after the pause
    latent: dict[str, Tensor]
    company: Company | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Who n contacts are, and where they stand at the start of a bin."""

    keys: Tensor  # [n] i64
    bins: Tensor  # [n] i64
    anchor_us: Tensor  # [n] i64
    zone_known: Tensor  # [n] bool


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """What a policy is shown."""

    features: Tensor  # [n, d] f32
    mask: Tensor  # [n, a] bool
    reasons: Tensor  # [n, a] i32, `Reason` bits


class DecisionBuffers(NamedTuple):
    """Room for a decision, contacts last; the rows of a part may be part of longer ones."""

    features: Tensor  # [d, n] f32
    mask: Tensor  # [a, n] bool
    reasons: Tensor  # [a, n] i32

    @classmethod
    def of(cls, features: int, actions: int, n: int, device: torch.device) -> DecisionBuffers:
        """Room for n contacts."""
        return cls(
            torch.empty((features, n), device=device),
            torch.empty((actions, n), dtype=torch.bool, device=device),
            torch.empty((actions, n), dtype=torch.int32, device=device),
        )

    def take(self, columns: slice) -> DecisionBuffers:
        """The room of some contacts."""
        return DecisionBuffers(*(part[:, columns] for part in self))

    def decision(self) -> PolicyInput:
        """What was written, as callers see it."""
        return PolicyInput(*(part.T for part in self))


_COLUMNS = (
    "keys",
    "bins",
    "attributes",
    "anchor_us",
    "zone_known",
    "consent",
    "available",
    "sends_hours",
    "paused_until",
)


def select(state: SimulationState, rows: Tensor) -> SimulationState:
    """A copy of the contacts at `rows`, [k]; stepping it leaves `state` as it is."""
    company = state.company
    if company is not None:
        around = {
            name: value[rows] if isinstance(value, Tensor) and value.dim() else value
            for name in Surroundings.__slots__
            if (value := getattr(company.around, name)) is not None
        }
        company = replace(company, account=company.account[rows], around=Surroundings(**around))
    return SimulationState(
        past=state.past.take(rows),
        late=state.late.take(rows) if state.late is not None else None,
        latent={name: part[rows] for name, part in state.latent.items()},
        company=company,
        **{name: getattr(state, name)[..., rows] for name in _COLUMNS},
    )


def renewed(state: SimulationState, fresh: SimulationState, rows: Tensor) -> SimulationState:
    """The state with fresh contacts at `rows` [k]; all but their past."""

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.index_copy(old.dim() - 1, rows, new)

    columns: dict[str, Any] = {
        name: put(getattr(state, name), getattr(fresh, name)) for name in _COLUMNS
    }
    latent = {name: put(part, fresh.latent[name]) for name, part in state.latent.items()}
    late = state.late.renewed(rows) if state.late is not None else None
    return replace(state, latent=latent, late=late, **columns)
