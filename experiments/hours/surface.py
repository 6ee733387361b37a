"""What a learned world says of any hour of the week, also of hours that its log never had."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec
from nurture_envs.worlds.borrowing import with_actions
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.embedding import ActionColumns, describe
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.response_networks import ResponseNetworks

_WEEK = 7


def hour_surface(
    world: LearnedWorld,
    features: Tensor,
    message: str,
    hours: Sequence[float],
    weekdays: Sequence[int] = tuple(range(_WEEK)),
    draws: int = 64,
) -> Tensor:
    """Mean chance of each head after a send at any hour of any day, [E, H, weekdays, hours].

    Smooth over the hours, slots or not: an action knows its hour by two waves a day; where the
    log's sends had one hour only, the surface is flat. All cells are asked about the same contacts
    at equal luck.

    Args:
        world: fitted to a journey that sends the message.
        features: contacts' features, [d, n]; columns of the weekday are set, all else stays.
        message: its id.
        hours: local hours in [0, 24).
        weekdays: 0 is Monday; without a weekday feature they are all alike.
        draws: plays of a bin that a chance is the mean of.

    Raises:
        WorldError: the journey does not send the message, or there is no such hour.
    """
    wrong = [hour for hour in hours if not 0.0 <= hour < 24.0]
    if wrong or not hours:
        raise WorldError(f"expected local hours in [0, 24), got {list(hours)}; name some of those")
    catalog = ActionCatalog.of(world.journey)
    sends = [i for i, a in enumerate(catalog.actions) if a.message and a.message.id == message]
    if not sends:
        raise WorldError(
            f"journey {world.journey.name!r} does not send {message!r}; ask for one of "
            f"{[m.id for m in world.journey.messages]}"
        )
    columns = ActionColumns(world.members[0].sizes.columns)
    rows = columns.encode([describe(catalog.actions[sends[0]], hour) for hour in hours])
    like = [sends[0]] * len(hours)
    player = ResponseNetworks([with_actions(m, rows, like) for m in world.members], world.device)
    n = features.shape[1]
    keys = contact_keys(0, n, features.device)
    days = []
    for weekday in weekdays:
        contacts = _on(world, features, weekday)
        cells = [
            player.hazards(contacts, torch.full_like(keys, h), draws, keys).mean(dim=2)
            for h in range(len(hours))
        ]
        days.append(torch.stack(cells, dim=2))
    return torch.stack(days, dim=2)


def _on(world: LearnedWorld, features: Tensor, weekday: int) -> Tensor:
    """The contacts on a day of the week, [d, n]."""
    spec = FeatureSpec.of(world.journey)
    moved = features.clone()
    for feature in spec.features:
        if feature.kind == "calendar" and feature.part == "weekday":
            for day, name in enumerate(spec.names(feature)):
                moved[spec.column(name)] = float(day == weekday)
    return moved
