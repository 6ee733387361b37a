"""A fitted world held against decisions it was not fitted to: other contacts, and later days."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.decisions import IntArray
from nurture_rl.simulator.calibration import Calibration, head_calibration
from nurture_rl.simulator.data import ContactSplit, WorldData
from nurture_rl.simulator.later_days import split_days, unseen_rows

_FEWEST_CONTACTS = 10  # judged on fewer, a world is judged on who they happened to be

Fit = Callable[[WorldData], tuple[LearnedWorld, ContactSplit]]


@torch.no_grad()
def judge(
    world: LearnedWorld,
    data: WorldData,
    rows: IntArray,
    fitted: IntArray,
    from_day: int | None = None,
) -> Calibration:
    """Compare the ensemble's mean hazards with what the log holds, with the weights of the fit.

    Args:
        world: fitted to other rows.
        data: its exposure is the share of each bin's events that is known; predictions use it.
        rows: decisions to judge on.
        fitted: decisions that were fitted to; their rates are what a constant would predict.
        from_day: first day of `rows`, where days were held out.
    """
    heads = Heads.of(world.journey)
    channels = heads.count_channels(world.journey)
    happened = data.amounts[:, channels] > 0
    exposure = data.row_exposure[:, channels][rows]
    features, action = torch.as_tensor(data.features[rows]), torch.as_tensor(data.action[rows])
    chance = world.hazards(features.T, action).mean(dim=0).T.double().cpu().numpy() * exposure
    weight = data.row_weight[rows]
    rates = happened[fitted].mean(axis=0)
    learned = world.members[0].learned.tolist()
    judged = tuple(
        head_calibration(name, chance[:, h], happened[rows, h], float(rates[h]), learned[h], weight)
        for h, name in enumerate(heads.counts)
    )
    return Calibration(judged, len(np.unique(data.cluster[rows])), len(rows), from_day)


def judge_later_days(data: WorldData, fit: Fit) -> Calibration | None:
    """Fit to the first four fifths of the days, judge on the rest and on contacts not fitted to.

    Late records of early days count as the whole log knows them.

    Args:
        data: of the whole log.
        fit: fits a world to some of it, and says which of these rows it used for what.

    Returns:
        None where there are no later days, or fewer than ten contacts to judge them by.
    """
    days = split_days(data)
    if days is None:
        return None
    early = data.take(days.early)
    world, split = fit(early)
    fitted = days.early[np.concatenate([split.train, split.tuning])]
    rows = unseen_rows(data, days.late, fitted)
    if len(np.unique(data.cluster[rows])) < _FEWEST_CONTACTS:
        return None
    return judge(world, data, rows, fitted, days.from_day)
