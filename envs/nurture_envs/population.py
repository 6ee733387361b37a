"""Contacts that live together: accounts, shared limits, and the sender's reputation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from nurture_envs.errors import SimulationError
from nurture_envs.guardrails.allocate import allocate
from nurture_envs.guardrails.reasons import Reason
from nurture_envs.simulation_state import Company
from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.world import Surroundings

LOTTERY = 32  # stream of the draw that decides who goes first


@dataclass(frozen=True, slots=True)
class Population:
    """What the contacts of a simulation share; everything off means they are alone."""

    account_size: int = 1  # neighbouring contacts of one buying group
    seller_capacity: float | None = None  # escalations a bin per 1,000 contacts, rounded down
    volume_growth: float | None = None  # sends of a bin, at most so many times the trailing mean
    volume_floor: float = 50.0  # sends a bin per 1,000 contacts that are always allowed
    trailing_bins: int = 7  # over which the mean is taken

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be {wanted}, got {value!r}"
            for name, wanted, value, good in self._checks()
            if not good
        ]
        if wrong:
            raise SimulationError("a population cannot be: " + "; ".join(wrong))

    def _checks(self) -> list[tuple[str, str, object, bool]]:
        """Every field's name, what it must be, its value, and whether it is."""
        whole = [("account_size", self.account_size), ("trailing_bins", self.trailing_bins)]
        shares = [
            ("seller_capacity", self.seller_capacity),
            ("volume_growth", self.volume_growth),
            ("volume_floor", self.volume_floor),
        ]
        return [
            (name, "a whole number of at least 1", value, isinstance(value, int) and value >= 1)
            for name, value in whole
        ] + [
            (name, "a number of at least 0", value, value is None or 0.0 <= value < inf)
            for name, value in shares
        ]


@runtime_checkable
class HasReputation(Protocol):
    """A world whose mail depends on how its sender behaves."""

    def next_inbox_share(self, share: Tensor, totals: Tensor) -> Tensor:
        """Share of mail that reaches the inbox after a bin with these channel totals [c]."""
        ...


def together(population: Population, n: int, device: torch.device) -> Company:
    """n contacts before anything happened; row i belongs to account i // account_size."""
    account = torch.arange(n, device=device) // population.account_size
    floor = population.volume_floor * n / 1000.0
    volume = torch.full((population.trailing_bins,), floor, device=device)
    return Company(account, Surroundings(), torch.ones((), device=device), volume)


def settle(
    population: Population,
    company: Company,
    sends: Tensor,
    calls: Tensor,
    keys: Tensor,
    bins: Tensor,
) -> Tensor:
    """Which chosen actions the shared limits refuse.

    Args:
        population: the limits.
        company: the trailing volume.
        sends: chosen sends, [n] bool.
        calls: chosen escalations, [n] bool.
        keys: of the contacts, [n]; a draw decides who goes first.
        bins: current bins, [n].

    Returns:
        `Reason` bits, [n] int32, 0 where the action stands.
    """
    refused = torch.zeros_like(sends, dtype=torch.int32)
    luck = uniforms(keys, bins, LOTTERY, 1)[0]
    if population.seller_capacity is not None:
        room = int(population.seller_capacity * len(keys) / 1000.0)
        refused += (calls & ~allocate(calls, luck, room)) * int(Reason.SELLER_CAPACITY)
    if population.volume_growth is not None:
        grown = population.volume_growth * float(company.volume.mean())
        room = int(max(grown, population.volume_floor * len(keys) / 1000.0))
        refused += (sends & ~allocate(sends, luck, room)) * int(Reason.VOLUME_RAMP)
    return refused


def lived_on(company: Company, sends: Tensor, talks: Tensor, share: Tensor) -> Company:
    """The company after a bin.

    Args:
        company: before it.
        sends: who was sent mail, [n] bool.
        talks: who began to talk to sales, [n] bool.
        share: the sender's inbox share from now on, scalar.
    """
    around = Surroundings(
        colleague_sends=_of_others(company.account, sends),
        colleague_talks=_of_others(company.account, talks),
        inbox_share=share,
    )
    newest = sends.sum().to(torch.float32)[None]
    volume = torch.cat([newest, company.volume[:-1]])
    return replace(company, around=around, inbox_share=share, volume=volume)


def _of_others(account: Tensor, mark: Tensor) -> Tensor:
    """How many others of the same account are marked, [n] f32."""
    value = mark.to(torch.float32)
    return torch.zeros_like(value).index_add_(0, account, value)[account] - value
