"""What a learned world says of messages and hours that its log never had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.embedding import ActionColumns, describe, likeness
from nurture_envs.worlds.heads import Heads, ResponseModel
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.player import Player

_BY_ACTION = ("rates", "possible", "prices")
_WEEK = 7


def with_actions(model: ResponseModel, embedding: Tensor, like: Sequence[int]) -> ResponseModel:
    """The same network for other actions.

    Args:
        model: the fitted network.
        embedding: the actions' columns, [a', k].
        like: for each of them the logged action whose counted tables it takes, [a'].
    """
    made = ResponseModel(replace(model.sizes, actions=len(like)))
    rows = torch.tensor(list(like))
    tables = {name: model.get_buffer(name)[rows] for name in _BY_ACTION}
    made.load_state_dict(model.state_dict() | tables | {"embedding": embedding})
    return made.requires_grad_(False)


def extend_world(world: LearnedWorld, journey: Journey) -> LearnedWorld:
    """The world for a journey with other messages, slots or pauses.

    A message that was never logged acts as its factors do; what is counted by action (rates of
    rare heads, what can follow, prices) it takes from the most similar logged action.

    Raises:
        WorldError: the journey's features or signals are not those the world was fitted with.
    """
    same = (
        FeatureSpec.of(world.journey).hash == FeatureSpec.of(journey).hash
        and Heads.of(world.journey) == Heads.of(journey)
        and world.journey.channels == journey.channels
    )
    if not same:
        raise WorldError(
            f"journey {journey.name!r} must have the signals and features of "
            f"{world.journey.name!r}, which the world was fitted with; fit a world of its own"
        )
    known, catalog = ActionCatalog.of(world.journey), ActionCatalog.of(journey)
    like = [
        max(range(len(known)), key=lambda i: likeness(action, known.actions[i]))
        for action in catalog.actions
    ]
    columns = ActionColumns(world.members[0].sizes.columns)
    embedding = columns.of_catalog(catalog)
    members = tuple(with_actions(model, embedding, like) for model in world.members)
    return replace(world, journey=journey, members=members)


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
    player = Player([with_actions(m, rows, like) for m in world.members], world.device)
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
