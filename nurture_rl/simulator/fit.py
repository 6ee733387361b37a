"""Fit a learned world to logged decisions and judge it on contacts it has never seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import Heads, ModelSizes, ResponseModel, action_embedding
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.calibration import Calibration, head_calibration
from nurture_rl.simulator.data import (
    ContactSplit,
    IntArray,
    WorldData,
    require_world_data,
    split_contacts,
)
from nurture_rl.simulator.network import Progress, Rows, TrainingConfig, initialise, recalibrate
from nurture_rl.simulator.network import train as train_network
from nurture_rl.simulator.tables import (
    ValueScales,
    availability,
    class_rates,
    count_by_routing,
    possible_events,
    price_lists,
    repeats,
    standard_values,
    value_scales,
)


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """What kind of world is fitted."""

    hidden: tuple[int, ...] = (64, 64)  # widths of the trunk all heads share
    rank: int = 16  # of the feature-by-action interaction
    fewest_events: int = 20  # heads with fewer in training get a constant rate by routing
    device: str = "cpu"
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True, slots=True, eq=False)
class FittedWorld:
    """A world and what is known of its truthfulness."""

    world: LearnedWorld
    calibration: Calibration
    split: ContactSplit


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    counts: NDArray[np.float64]  # [N, H]
    happened: NDArray[np.bool_]  # [N, H]
    values: NDArray[np.float64]  # [N, V]
    valued: NDArray[np.bool_]  # [N, V]


def fit_world(
    data: WorldData, journey: Journey, config: WorldConfig, seed: int, progress: Progress
) -> FittedWorld:
    """Maximum likelihood on 70 % of the contacts, tuned on 15 %, judged on 15 %.

    Args:
        data: logged decisions; rows that are not matured are censored and count for nothing.
        journey: names channels, actions and features.
        config: shapes and training.
        seed: of the split, the first weights and the batches.
        progress: called after each epoch with its number and the tuning loss.

    Raises:
        ShapeError: an array does not fit the journey.
        FitError: too few contacts, or values that cannot be used.
    """
    require_world_data(data, journey)
    split = split_contacts(data, np.random.default_rng(seed))
    generator = torch.Generator().manual_seed(seed)
    heads = Heads.of(journey)
    targets = _targets(data, journey, heads)
    scales = value_scales(targets.values[split.train], targets.valued[split.train])
    model = _blank(data, journey, config, targets, split)
    _set(model, "logarithmic", scales.logarithmic)
    _set_prices(model, data, targets, journey, split)
    base_rates = torch.as_tensor(targets.happened[split.train].mean(axis=0), dtype=torch.float32)
    initialise(model, base_rates, generator)
    model = model.to(config.device)
    fit_rows = _rows(data, targets, scales, split.train, config.device)
    tuning = _rows(data, targets, scales, split.tuning, config.device)
    model = train_network(model, fit_rows, tuning, config.training, generator, progress)
    _finish(model, fit_rows, tuning, scales)
    model = model.to("cpu")
    calibration = _judge(model, data, targets, split, heads)
    return FittedWorld(LearnedWorld(journey, model, data.starts), calibration, split)


def _targets(data: WorldData, journey: Journey, heads: Heads) -> _Targets:
    counts = data.amounts[:, heads.count_channels(journey)]
    happened = counts > 0
    values = data.amounts[:, heads.value_channels(journey)]
    return _Targets(counts, happened, values, happened[:, heads.source])


def _blank(
    data: WorldData, journey: Journey, config: WorldConfig, targets: _Targets, split: ContactSplit
) -> ResponseModel:
    """A model with everything that is counted rather than trained."""
    catalog = ActionCatalog.of(journey)
    embedding = action_embedding(catalog)
    sizes = ModelSizes(
        features=data.features.shape[1],
        actions=len(catalog),
        embedding=embedding.shape[1],
        counts=targets.counts.shape[1],
        values=targets.values.shape[1],
        slots=len(journey.clock.slots_hours),
        hidden=config.hidden,
        rank=config.rank,
    )
    model = ResponseModel(sizes)
    seen = np.concatenate([split.train, split.tuning])
    routing = count_by_routing(data.action[seen], targets.happened[seen], catalog)
    repeat, most = repeats(targets.counts[seen])
    train_features = data.features[split.train]
    spread = train_features.std(axis=0)
    _set(model, "embedding", embedding)
    _set(model, "standard_mean", train_features.mean(axis=0))
    _set(model, "standard_scale", np.where(spread > 1e-6, spread, 1.0))
    _set(model, "learned", targets.happened[split.train].sum(axis=0) >= config.fewest_events)
    _set(model, "rates", class_rates(routing))
    _set(model, "possible", possible_events(routing))
    _set(model, "repeat", repeat)
    _set(model, "most", most)
    if journey.guardrails.availability:
        reached = availability(data.available, data.step, sizes.slots)
        _set(model, "reachable", reached)
    return model


def _set_prices(
    model: ResponseModel,
    data: WorldData,
    targets: _Targets,
    journey: Journey,
    split: ContactSplit,
) -> None:
    rows = np.concatenate([split.train, split.tuning])
    found = price_lists(
        targets.values[rows],
        targets.valued[rows],
        data.action[rows],
        ActionCatalog.of(journey),
        model.sizes.quantiles,
    )
    _set(model, "listed", found.listed)
    _set(model, "prices", found.prices)


def _set(model: ResponseModel, name: str, values: object) -> None:
    buffer = model.get_buffer(name)
    buffer.copy_(torch.as_tensor(values).to(buffer.dtype))


def _rows(
    data: WorldData, targets: _Targets, scales: ValueScales, rows: IntArray, device: str
) -> Rows:
    def tensor(values: object, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(values, dtype=dtype, device=device)

    standard = standard_values(targets.values[rows], scales)
    return Rows(
        features=tensor(data.features[rows], torch.float32),
        action=tensor(data.action[rows], torch.int64),
        happened=tensor(targets.happened[rows], torch.float32),
        values=tensor(np.where(targets.valued[rows], standard, 0.0), torch.float32),
        valued=tensor(targets.valued[rows], torch.float32),
    )


@torch.no_grad()
def _finish(model: ResponseModel, train: Rows, tuning: Rows, scales: ValueScales) -> None:
    """Recalibrate on the tuning contacts, and keep what the value means leave unexplained."""
    logits = model.raw(tuning.features, tuning.action)[:, : model.sizes.counts]
    used = (model.possible[tuning.action] & model.learned).float()
    slope, shift = recalibrate(logits, tuning.happened, used)
    model.slope.copy_(slope)
    model.shift.copy_(shift)
    for name in ("mean", "scale", "low", "high"):
        _set(model, f"value_{name}", getattr(scales, name))
    means = model.raw(train.features, train.action)[:, model.sizes.counts :]
    levels = torch.linspace(0.0, 1.0, model.sizes.quantiles, device=means.device)
    for head in range(model.sizes.values):
        rows = train.valued[:, head] > 0
        if bool(rows.any()):
            left = (train.values - means)[rows, head]
            model.residuals[head] = torch.quantile(left.double(), levels.double()).float()


@torch.no_grad()
def _judge(
    model: ResponseModel, data: WorldData, targets: _Targets, split: ContactSplit, heads: Heads
) -> Calibration:
    rows = split.judging
    features, action = torch.as_tensor(data.features[rows]), torch.as_tensor(data.action[rows])
    chance = model(features, action)[0].double().numpy()
    train_rate = targets.happened[split.train].mean(axis=0)
    learned = model.learned.tolist()
    judged = tuple(
        head_calibration(
            name, chance[:, h], targets.happened[rows, h], float(train_rate[h]), learned[h]
        )
        for h, name in enumerate(heads.counts)
    )
    return Calibration(judged, len(np.unique(data.cluster[rows])), len(rows))
