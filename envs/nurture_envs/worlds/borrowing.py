"""What a learned world says of messages that its log never had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.embedding import ActionColumns, likeness
from nurture_envs.worlds.heads import Heads, ResponseModel
from nurture_envs.worlds.learned import LearnedWorld

_BY_ACTION = ("rates", "possible", "prices")


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

    A message that was never logged has the effects of its factors. Numbers that are counted by
    action (rates of rare heads, what can follow, prices) come from the most similar logged action.

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
