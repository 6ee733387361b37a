"""The reality gap of a world: every check run, one verdict, plain data for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_envs.rollout import ActsOnArrays
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import World
from nurture_rl.simulator.calibration import Calibration
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.gap import lateness, one_step, rates, surfaces
from nurture_rl.simulator.gap.causes import broken_propensities, causes
from nurture_rl.simulator.gap.compare import Comparison, judged
from nurture_rl.simulator.gap.estimated_logging import estimate_policy, policy_weights
from nurture_rl.simulator.gap.fatigue import half_lives
from nurture_rl.simulator.gap.gap_evidence import DelayShares, Evidence, HourTable
from nurture_rl.simulator.gap.leakage import suspicious_features
from nurture_rl.simulator.gap.propensities import PropensityCheck, propensity_check
from nurture_rl.simulator.gap.replay import replay, started_from
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.simulator.gap.survival import survival_curves
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories, whole_episodes
from nurture_rl.simulator.gap.trust import GapVerdict, verdict
from nurture_rl.simulator.gap.two_sample import two_sample_test

_LATEST = 7  # bins of lateness shown
_DRAWS = 32  # plays of a bin that a chance is the mean of


@dataclass(frozen=True, slots=True)
class GapReport:
    """How far a world is from a held-out log."""

    journey: str
    unit: str
    verdict: GapVerdict
    evidence: Evidence
    config: GapConfig

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; numbers that do not exist are None."""
        record = asdict(self)
        plain = self.evidence.comparisons
        for row, one in zip(record["evidence"]["comparisons"], plain, strict=True):
            row["lower"], row["upper"] = one.bounds
            row["p_value"] = one.p_value
        cleaned = _json(record)
        assert isinstance(cleaned, dict)
        return cleaned


def reality_gap(
    world: World,
    held_out: WorldData,
    logging: ActsOnArrays | None,
    config: GapConfig,
    rng: np.random.Generator,
) -> GapReport:
    """Hold a world against logged episodes that nothing was fitted to.

    The logging policy is played in the world from the held-out contacts' starting states, and the
    episodes that come out are compared with the logged ones.

    Args:
        world: learned or reference.
        held_out: contacts used for nothing else, with masks, and propensities where known.
        logging: the policy that made the log, as a function of features and mask; None to estimate
            it from the log. What it knew beyond the features is put right by weights.
        config: margins and limits.
        rng: of the replay, the estimate and the classifier's folds.

    Raises:
        ShapeError: the log does not fit the world's journey.
        FitError: the log holds no mask or no whole episode.
    """
    journey = world.journey
    real = whole_episodes(held_out, journey)
    check = _judged_check(propensity_check(real, journey), config)
    usable = check.known and broken_propensities(check, config.limits) is None
    if not usable:
        real = real.without_propensities()
    policy = logging or estimate_policy(real, ActionCatalog.of(journey), rng)
    share = 1.0
    if usable:
        weights = policy_weights(real, policy)
        real, share = real.reweighted(weights.until), weights.ess_share
    started, taken = started_from(world, held_out.starts)
    n = int(np.clip(config.ratio * real.episodes, config.fewest_episodes, config.most_episodes))
    simulated = replay(Simulation(started), policy, n, int(rng.integers(2**31)))
    notes = _notes(real, logging is None, taken, check, isinstance(world, LearnedWorld))
    sides = _Sides(world, real, simulated, policy, check, share, notes)
    evidence = _evidence(sides, config, rng)
    judged = verdict(causes(evidence, config))
    return GapReport(journey.name, journey.reward.unit, judged, evidence, config)


@dataclass(frozen=True, slots=True, eq=False)
class _Sides:
    """Log and world, side by side."""

    world: World
    real: Trajectories
    simulated: Trajectories
    policy: ActsOnArrays
    propensities: PropensityCheck
    share: float
    notes: tuple[str, ...]

    @property
    def journey(self) -> Journey:
        return self.world.journey


def _evidence(sides: _Sides, config: GapConfig, rng: np.random.Generator) -> Evidence:
    real, simulated, journey = sides.real, sides.simulated, sides.journey
    types = surfaces.answer_types(real, journey)
    leaving = surfaces.leaving_types(real, journey)
    found_curves = surfaces.curves(real, simulated, journey, types)
    told = _predictions(sides, config)
    star = tuple(name for name in journey.north_star.of if name in Heads.of(journey).counts)
    happened = rates.happened(real, journey)
    star_events = sum(happened[:, Heads.of(journey).counts.index(name)].sum() for name in star)
    compared = [
        *_rates(real, simulated, journey, config),
        *told.comparisons,
        *lateness.late_records(real, sides.world, journey, config.margins),
    ]
    pace = surfaces.curve_comparisons(found_curves, config.margins.response)
    rate = config.false_discoveries
    return Evidence(
        episodes=real.episodes,
        contacts=real.contacts,
        simulated_episodes=simulated.episodes,
        main=rates.main_heads(journey),
        read=tuple(h for h in Heads.of(journey).counts if h in rates.read_signals(journey)),
        star=star,
        star_events=float(star_events),
        fitted_on=_fitted_on(sides.world),
        unlearned=told.unlearned,
        effective_share=sides.share,
        comparisons=(*judged(compared, rate), *judged(pace, config.false_curves)),
        curves=found_curves,
        half_lives=half_lives(real, simulated, journey, (*types, *leaving)),
        survival=survival_curves(real, simulated, journey),
        hours=tuple(_hours(real, simulated, journey, name) for name in types),
        delays=_delays(real, sides.world),
        delays_known=real.event_delay is not None,
        two_sample=two_sample_test(real, simulated, journey, rng),
        propensities=sides.propensities,
        leaks=tuple(  # a constant rate follows no feature, honest or not
            one
            for one in suspicious_features(real, simulated, journey, config.leaks)
            if one.head not in told.constant
        ),
        effects=told.effects,
        disagreement=told.disagreement,
        calibration=told.calibration,
        notes=sides.notes,
    )


def _rates(
    real: Trajectories, simulated: Trajectories, journey: Journey, config: GapConfig
) -> list[Comparison]:
    margins = config.margins
    groups = (
        *rates.arms(real, simulated, journey),
        *rates.weeks(real, simulated, journey),
        *rates.segments(real, simulated, journey),
    )
    everybody = rates.overall(real, simulated)
    comparisons = rates.rate_comparisons(real, simulated, journey, everybody, margins.rate)
    for one in groups:
        comparisons += rates.rate_comparisons(real, simulated, journey, one, margins.part)
    comparisons += rates.funnel(real, simulated, journey, margins.rate)
    return [*comparisons, rates.reward(real, simulated, journey, margins.rate)]


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What a fitted world says of the logged rows."""

    comparisons: tuple[Comparison, ...] = ()
    effects: tuple[one_step.ArmEffect, ...] = ()
    disagreement: tuple[tuple[str, float], ...] = ()
    calibration: Calibration | None = None
    unlearned: tuple[str, ...] = ()
    constant: frozenset[str] = frozenset()  # heads that are one rate, whatever the features say


def _predictions(sides: _Sides, config: GapConfig) -> _Told:
    """One-step checks of a learned world; nothing of one whose state no log shows."""
    world, real, journey = sides.world, sides.real, sides.journey
    if not isinstance(world, LearnedWorld):
        return _Told()
    each = one_step.chances(world, real.features, real.action, _DRAWS)
    predicted = each.mean(axis=0)
    heads, main = Heads.of(journey).counts, rates.main_heads(journey)
    events = rates.happened(real, journey).sum(axis=0)
    learned = np.mean([model.learned.cpu().numpy() for model in world.members], axis=0) >= 0.5
    enough = events >= config.limits.judged_events
    unlearned = [h for h, name in enumerate(heads) if enough[h] and not learned[h]]
    effects: tuple[one_step.ArmEffect, ...] = ()
    if np.isfinite(real.propensity).all():
        effects = one_step.arm_effects(real, journey, _projected(sides), world)
    spread = one_step.disagreement(each)
    return _Told(
        comparisons=(
            *one_step.overall_ratio(real, journey, predicted, config.margins.rate),
            *one_step.effect_comparisons(effects, config.margins.part),
        ),
        effects=effects,
        disagreement=tuple((heads[h], float(spread[h])) for h in np.flatnonzero(events > 0)),
        calibration=one_step.calibration(real, journey, predicted, learned),
        unlearned=tuple(heads[h] for h in unlearned if heads[h] in main or len(unlearned) > 3),
        constant=frozenset(name for h, name in enumerate(heads) if not learned[h]),
    )


def _projected(sides: _Sides) -> FloatArray:
    return sides.policy.action_probabilities(sides.real.features, sides.real.mask)


def _judged_check(check: PropensityCheck, config: GapConfig) -> PropensityCheck:
    return replace(check, weights=judged(check.weights, config.false_discoveries))


def _fitted_on(world: World) -> int | None:
    return len(world.starts.anchor_us) if isinstance(world, LearnedWorld) else None


def _hours(real: Trajectories, simulated: Trajectories, journey: Journey, name: str) -> HourTable:
    table = surfaces.hour_table(real, simulated, journey, name)
    sides = [
        tuple(tuple(float(x) if isfinite(x) else None for x in day) for day in side)
        for side in table
    ]
    return HourTable(name, *sides)


def _delays(real: Trajectories, world: World) -> tuple[DelayShares, ...]:
    """Of every signal of contacts that the log or the world knows late."""
    if real.event_delay is None:
        return ()
    table = lateness.delay_table(world)
    seen = lateness.logged_delays(real, max(_LATEST, len(table) - 1))
    told = np.zeros(seen.shape)
    told[: len(table)] = table
    shares = []
    for signal in world.journey.signals:
        channel = world.journey.channel_index(signal.name)
        column = seen[:, channel]
        if signal.by_action or np.isnan(column).any():
            continue
        shares.append(DelayShares(signal.name, tuple(column), tuple(told[:, channel])))
    return tuple(shares)


def _notes(
    real: Trajectories, estimated: bool, started: bool, check: PropensityCheck, fitted: bool
) -> tuple[str, ...]:
    """What could not be checked, or was assumed."""
    said = (
        (estimated, "The logging policy was estimated from the log by a softmax regression."),
        (
            not started,
            "The world starts contacts of its own: starting states are part of what is compared.",
        ),
        (
            not check.known,
            "Not every decision has a propensity: neither they nor the effects of acting could be "
            "checked.",
        ),
        (
            real.event_delay is None,
            "The log does not say when events became known: recording delays were not checked.",
        ),
        (
            not fitted,
            "The world keeps a hidden state: its predictions on logged rows were not checked.",
        ),
    )
    return tuple(text for holds, text in said if holds)


def _json(value: Any) -> Any:
    """Tuples as lists, numbers that do not exist as None."""
    if isinstance(value, Mapping):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
