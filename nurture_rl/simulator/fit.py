"""Fit a learned world to logged decisions and judge it on contacts it has never seen."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_envs.worlds.embedding import ActionColumns
from nurture_envs.worlds.heads import Heads, ModelSizes, ResponseModel
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import declared_delays
from nurture_rl.decisions import FloatArray, IntArray
from nurture_rl.errors import FitError
from nurture_rl.simulator.calibration import Calibration
from nurture_rl.simulator.chains import hard_requirements
from nurture_rl.simulator.counted_tables import (
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
from nurture_rl.simulator.data import ContactSplit, WorldData, require_world_data, split_contacts
from nurture_rl.simulator.initial import bootstrap, initialise
from nurture_rl.simulator.judging import judge
from nurture_rl.simulator.network_training import (
    MemberThreads,
    Progress,
    TrainingConfig,
    TrainingRows,
)
from nurture_rl.simulator.network_training import train as train_networks
from nurture_rl.simulator.recalibration import match_rates, recalibrate

_MATCHED = 200_000  # training rows that rates are matched on
_SURELY_KNOWN = 0.99  # exposure from which what is not logged did not happen


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """What kind of world is fitted."""

    members: int = 5  # of the ensemble
    hidden: tuple[int, ...] = (32, 32)  # widths of the trunk all heads share
    rank: int = 8  # of the feature-by-action interaction
    fewest_events: int = 20  # heads with fewer in training get a constant rate by routing
    device: str = "cpu"  # torch device that fits, such as cuda
    training: TrainingConfig = field(default_factory=TrainingConfig)
    weighting: str = "none"  # of logged decisions, or "propensity": see `training_data`
    delays: str = "fitted"  # how late records are, or "declared": the latest that the journey says


@dataclass(frozen=True, slots=True, eq=False)
class FittedWorld:
    """A world and what is known of its truthfulness."""

    world: LearnedWorld
    calibration: Calibration
    split: ContactSplit


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    counts: FloatArray  # [N, H]
    happened: NDArray[np.bool_]  # [N, H]
    values: FloatArray  # [N, V]
    valued: NDArray[np.bool_]  # [N, V]
    exposure: FloatArray  # [N, H]


def fit_world(
    data: WorldData,
    journey: Journey,
    config: WorldConfig,
    seed: int,
    progress: Progress,
    threads: int = 1,
) -> FittedWorld:
    """Maximum likelihood on 70 % of the contacts, tuned on 15 %, judged on 15 %.

    Members differ by their first weights and by a bootstrap over the training contacts; they
    share the split, everything that is counted, and the chain between heads of a bin.

    Args:
        data: logged decisions; unusable rows are censored and count for nothing.
        journey: names channels, actions and features.
        config: shapes and training.
        seed: of the split, the bootstrap, the first weights and the batches.
        progress: called after each epoch with its number and the tuning loss.
        threads: that members are dealt to; their number changes no bit of the world.

    Raises:
        ShapeError: weights or exposures do not fit the log.
        FitError: too few contacts, no member, or values that cannot be used.
    """
    require_world_data(data)
    if config.members < 1:
        raise FitError(f"a world needs at least 1 member, got {config.members}; set `members`")
    split = split_contacts(data, np.random.default_rng(seed))
    generator = torch.Generator().manual_seed(seed)
    heads = Heads.of(journey)
    targets = _targets(data, journey, heads)
    scales = value_scales(targets.values[split.train], targets.valued[split.train])
    blank = _blank(data, journey, config, targets, split, scales).to(config.device)
    rows = _rows(blank, data, targets, scales, split.train)
    tuning = _rows(blank, data, targets, scales, split.tuning)
    cluster = torch.as_tensor(data.cluster[split.train])
    drawn = bootstrap(cluster, config.members, generator).to(config.device)
    models = []
    for times in drawn:
        model = _copied(blank)
        initialise(model, rows, times, config.training.action_precision, generator)
        models.append(model)
    with closing(MemberThreads(config.members, threads)) as dealt:
        train_networks(models, rows, drawn, tuning, config.training, generator, progress, dealt)
        _finish(models, rows, drawn, tuning, dealt)
    delays = declared_delays(journey) if data.delays is None else torch.as_tensor(data.delays)
    members = tuple(model.to("cpu").requires_grad_(False) for model in models)
    world = LearnedWorld(journey, members, data.starts, delays)
    return FittedWorld(world, judge(world, data, split.judging, split.train), split)


def _targets(data: WorldData, journey: Journey, heads: Heads) -> _Targets:
    channels = heads.count_channels(journey)
    counts = data.amounts[:, channels]
    happened = counts > 0
    values = data.amounts[:, heads.value_channels(journey)]
    exposure = data.row_exposure[:, channels]
    return _Targets(counts, happened, values, happened[:, heads.source], exposure)


def _blank(
    data: WorldData,
    journey: Journey,
    config: WorldConfig,
    targets: _Targets,
    split: ContactSplit,
    scales: ValueScales,
) -> ResponseModel:
    """A model with everything that is counted rather than trained."""
    catalog = ActionCatalog.of(journey)
    columns = ActionColumns.of(catalog)
    model = ResponseModel(
        ModelSizes(
            features=data.features.shape[1],
            actions=len(catalog),
            columns=columns.names,
            counts=targets.counts.shape[1],
            values=targets.values.shape[1],
            slots=len(journey.clock.slots_hours),
            hidden=tuple(config.hidden),
            rank=config.rank,
        )
    )
    seen = np.concatenate([split.train, split.tuning])
    train_features = data.features[split.train]
    spread = train_features.std(axis=0, dtype=np.float64)
    learned = targets.happened[split.train].sum(axis=0) >= config.fewest_events
    _set(model, "embedding", columns.of_catalog(catalog))
    _set(model, "standard_mean", train_features.mean(axis=0, dtype=np.float64))
    _set(model, "standard_scale", np.where(spread > 1e-6, spread, 1.0))
    _set(model, "learned", learned)
    _set_counted(model, data, targets, seen, catalog)
    for name in ("mean", "scale", "low", "high"):
        _set(model, f"value_{name}", getattr(scales, name))
    _set(model, "logarithmic", scales.logarithmic)
    if journey.guardrails.availability:
        _set(model, "reachable", availability(data.available, data.step, model.sizes.slots))
    return model


def _set_counted(
    model: ResponseModel,
    data: WorldData,
    targets: _Targets,
    rows: IntArray,
    catalog: ActionCatalog,
) -> None:
    """Rates, what can follow what, repeats and prices."""
    action, happened = data.action[rows], targets.happened[rows]
    routing = count_by_routing(action, happened, catalog)
    repeat, most = repeats(targets.counts[rows])
    known = (targets.exposure[rows] >= _SURELY_KNOWN).all(axis=1)
    needs = hard_requirements(happened[known], action[known], len(catalog))
    prices = price_lists(
        targets.values[rows], targets.valued[rows], action, catalog, model.sizes.quantiles
    )
    weighed = count_by_routing(
        action, happened, catalog, targets.exposure[rows], data.row_weight[rows]
    )
    _set(model, "rates", class_rates(weighed))
    _set(model, "possible", possible_events(routing))
    _set(model, "needs", needs & model.learned.numpy()[:, None])
    _set(model, "repeat", repeat)
    _set(model, "most", most)
    _set(model, "listed", prices.listed)
    _set(model, "prices", prices.prices)


def _set(model: ResponseModel, name: str, values: object) -> None:
    buffer = model.get_buffer(name)
    buffer.copy_(torch.as_tensor(values).to(buffer.dtype))


def _copied(model: ResponseModel) -> ResponseModel:
    """A model of its own with the same tables."""
    copied = ResponseModel(model.sizes)
    copied.load_state_dict(model.state_dict())
    return copied.to(model.bias.device)


def _rows(
    model: ResponseModel, data: WorldData, targets: _Targets, scales: ValueScales, rows: IntArray
) -> TrainingRows:
    """Rows on the model's device, standardised; heads that cannot fire are not used."""

    def tensor(values: object, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(values, dtype=dtype, device=model.bias.device)

    action = tensor(data.action[rows], torch.int64)
    happened = tensor(targets.happened[rows])
    exposure = tensor(targets.exposure[rows])
    short = (1.0 - happened) @ model.needs.float().T > 0
    used = model.possible[action] & model.learned & ~short & (exposure > 0.0)
    standard = standard_values(targets.values[rows], scales)
    return TrainingRows(
        features=model.standard(tensor(data.features[rows])),
        action=action,
        happened=happened,
        used=used.float(),
        values=tensor(np.where(targets.valued[rows], standard, 0.0)),
        valued=tensor(targets.valued[rows]),
        weight=tensor(data.row_weight[rows]),
        exposure=exposure.clamp_min(1e-6),
    )


@torch.no_grad()
def _finish(
    models: list[ResponseModel],
    train: TrainingRows,
    drawn: Tensor,
    tuning: TrainingRows,
    threads: MemberThreads,
) -> None:
    """Set slopes by the tuning contacts, rates by each member's own; keep values' residuals."""
    sizes = models[0].sizes
    offset = tuning.happened @ models[0].chain.T
    weight = tuning.used * tuning.weight[:, None]
    some = torch.arange(0, len(train.action), 1 + len(train.action) // _MATCHED)
    own = train.take(some.to(train.action.device))

    @torch.no_grad()  # a thread starts with gradients on
    def finish(model: ResponseModel, times: Tensor) -> None:
        logits = model.raw(tuning.features, tuning.action)[:, : sizes.counts]
        slope, _ = recalibrate(logits, tuning.happened, weight, offset, tuning.exposure)
        model.slope.copy_(slope)
        _match(model, own, own.used * (own.weight * times[some.to(times.device)])[:, None])

    threads.map(lambda pair: finish(*pair), list(zip(models, drawn, strict=True)))
    levels = np.linspace(0.0, 1.0, sizes.quantiles)
    for head in range(sizes.values):
        rows = train.valued[:, head].nonzero()[:, 0]
        if not len(rows):
            continue
        seen = train.take(rows)
        left = [
            seen.values[:, head] - m.raw(seen.features, seen.action)[:, sizes.counts + head]
            for m in models
        ]
        residuals = np.quantile(torch.cat(left).double().cpu().numpy(), levels)
        for model in models:
            model.residuals[head] = torch.as_tensor(residuals, dtype=torch.float32)


def _match(model: ResponseModel, rows: TrainingRows, counted: Tensor) -> None:
    """Set the rates of a member's heads: of all decisions, then after every kind of action.

    The slope of `recalibrate` also shrinks the effects of actions. Rates over all decisions do not
    correct that, so rates by kind of action are matched too.
    """
    heads = slice(model.sizes.counts)
    logits = model.slope * model.raw(rows.features, rows.action)[:, heads]
    before = rows.happened @ model.chain.T
    model.shift.copy_(match_rates(logits, rows.happened, counted, before, rows.exposure))
    before = before + model.shift
    for column, name in enumerate(model.sizes.columns):
        after = model.embedding[rows.action, column] > 0.0
        if name.startswith("routing=") and bool(after.any()):
            parts = (logits, rows.happened, counted, before, rows.exposure)
            model.own[heads, column] += match_rates(*(part[after] for part in parts)) / model.slope
