"""Send-time optimisation: the slot of a send, chosen with whether and what to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW
from nurture_rl.bandits.action_design import ActionDesign
from nurture_rl.bandits.day_waves import day_waves
from nurture_rl.bandits.engagement_window import (
    EngagementWindowConfig,
    fit_engagement_window,
    own_hours,
    segment_columns,
)
from nurture_rl.bandits.factored_actions import factored_design
from nurture_rl.bandits.hour_effect import hour_effect
from nurture_rl.bandits.logged_choices import require_enough
from nurture_rl.bandits.returns_fit import ReturnsFit, fit_designed
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

IntArray = NDArray[np.int64]

_WEEKDAYS = ("=mon", "=tue", "=wed", "=thu", "=fri", "=sat", "=sun")


@dataclass(frozen=True, slots=True)
class SendTimeConfig:
    """When hours count, whose hours they are, how to fit and to explore."""

    level: float = 0.05  # chance to find a benefit of hours where none matters, in (0, 1)
    resamples: int = 999  # sign vectors of that test, >= 2 / level - 1
    waves: int = 3  # periods a day of the fastest wave in the surface, 1 to 12
    segment: str = ""  # feature with levels that names the segment, such as industry; empty: none
    # Beginning of the columns that count a person's own engagement by local hour, such as
    # clicks_at_ for clicks_at_09, read by the engagement window; empty: none.
    own: str = ""
    width: float = 2.0  # of the engagement window, hours, > 0
    draws: int = 128  # posterior draws that vote on the best action
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact

    def __post_init__(self) -> None:
        require_settings(
            self,
            level=(LEAST, 1.0 - LEAST),
            resamples=(1, 1e6),
            waves=(1, 12),
            width=(LEAST, 12.0),
        )
        if self.level * (self.resamples + 1) < 2.0:
            raise FitError(
                f"resamples of SendTime must be at least {ceil(2.0 / self.level) - 1} for a level "
                f"of {self.level:g}, got {self.resamples}: with so few signs no p-value is as small"
            )

    def window(self) -> EngagementWindowConfig:
        """Settings of the engagement window that stands in."""
        return EngagementWindowConfig(
            self.own,
            self.segment,
            self.width,
            self.draws,
            self.floor,
            self.ridge,
            self.multipliers,
        )


def fit_send_time(
    log: TrainingLog, config: SendTimeConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Learn what each hour of the week is worth to whom, if the list shows that it matters.

        return(x, a) = value(x, message or none) + surface(x, weekday, hour),
        surface = w(hour)^T (c + C_day weekday + C_segment segment + C_person person)

    w are waves of the day (`day_waves`), so the surface has 168 hours and is smooth and circular;
    `person` is all other features of the context. Each C has a prior precision of its own, found
    by evidence: persons are shrunk to their segment, segments and days to the list, as strongly as
    they are alike. The slots of the journey are the hours at which the surface is asked. Draws of
    the posterior vote for the best legal action, so hour, message and whether to send are one
    choice, inside quiet hours and caps.

    Before, `hour_effect` tests whether hours matter. Where the list does not show it at the
    `level`, there is no detectable benefit, and the policy is that of `engagement_window`.

    A contact of unknown time zone gets hours by the sender's guess, which blurs what is learned.
    Where the journey has a feature that tells whether the zone is known, it is part of `person`:
    such contacts have a part of the surface of their own, which takes off what the guess blurs
    for all; it does not take off more in one segment than in another.

    A policy knows a person by the features alone, never by an id. A return is what the logging
    policy made of the rest of the episode. Rows with one legal action show no choice and are left
    out.

    Args:
        log: the decisions.
        config: when hours count, how to fit and to explore.
        seed: of the signs of test and clustering measure, then of the draws.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells `applies` (1 where the surface decides, else 0), `p_value`,
        `p_common` and `p_personal` of the test, its `sends` (tested where they are more than
        `needed`), its `contacts` and `level`, and what
        that of `linear_thompson` does; with a surface also the ridges of its parts (`ridge_hours`,
        `ridge_weekday`, `ridge_segment`, `ridge_person`) and `hour_gain`: expected return of the
        best slot of each message over its mean slot, the journey's unit, mean over the log's
        decisions (optimistic where the surface is uncertain); else `window_strength`.

    Raises:
        FitError: fewer than two hours to send at, a column is named that the log lacks, or there
            is too little to fit.

    Source: Wahba (1990) for periodic smoothing; MacKay (1992) for the precisions; Gelman & Hill
        (2007) for partial pooling.
    """
    segment = segment_columns(log, config.segment)
    own_hours(log, config.own)
    rng = np.random.default_rng(seed)
    told = _tested(log.take(log.choice), config, rng)
    if told["applies"]:
        policy = _surface_policy(log, config, segment, rng, told)
    else:
        window = fit_engagement_window(log, config.window(), seed, lambda step, numbers: None)
        policy = replace(window, fit={**window.fit, **told})
    progress(0, dict(policy.fit))
    return policy


def send_time_verdict(fit: Mapping[str, float]) -> str:
    """What the test says of this list, in a line.

    Args:
        fit: of a policy that `fit_send_time` made.
    """
    sends = f"{fit['sends']:.0f} sends with a choice of hours to {fit['contacts']:.0f} contacts"
    seen = f"p = {fit['p_value']:.3g} at level {fit['level']:g}, {sends}"
    if fit["sends"] <= fit["needed"]:
        seen = f"{sends} are too few to test: more than {fit['needed']:.0f} are needed"
    if not fit["applies"]:
        return f"send_time: no detectable benefit on this list ({seen}); the engagement window acts"
    return f"send_time: hours matter on this list ({seen})"


def surface_design(log: TrainingLog, waves: int, segment: IntArray) -> ActionDesign:
    """Message and routing as factors without hours, and the surface beside them.

    Args:
        log: whose catalogue and columns.
        waves: see `day_waves`.
        segment: columns that name the segment.
    """
    d = log.features.shape[1]
    base, wave = factored_design(log.catalog, d, without=("slot",)), day_waves(log.catalog, waves)
    part = np.full(d, 3)  # person, unless it is a weekday's or a segment's column
    part[[i for i, name in enumerate(log.columns) if name.endswith(_WEEKDAYS)]] = 1
    part[segment] = 2
    first = len(base.names)
    plain = base.groups(d)
    m = base.columns.shape[1]
    hours = np.full(wave.shape[1], first)
    crossed = np.tile(first + part, wave.shape[1])
    return ActionDesign(
        factors=np.hstack([base.factors, wave]),
        own=np.hstack([base.columns, wave]),
        group=np.concatenate([plain[:m], hours, plain[m:], crossed]),
        names=(*base.names, "hours", "weekday", "segment", "person"),
    )


def _tested(
    rows: TrainingLog, config: SendTimeConfig, rng: np.random.Generator
) -> dict[str, float]:
    """What the test of the hour says, as the policy's fit tells it."""
    require_enough(rows)
    found = hour_effect(rows, config.waves, config.resamples, rng)
    return {
        "applies": float(found.p_value <= config.level),
        "p_value": found.p_value,
        "p_common": found.p_common,
        "p_personal": found.p_personal,
        "sends": float(found.sends),
        "contacts": float(found.contacts),
        "needed": float(found.needed),
        "level": config.level,
    }


def _surface_policy(
    log: TrainingLog,
    config: SendTimeConfig,
    segment: IntArray,
    rng: np.random.Generator,
    told: Mapping[str, float],
) -> ScoredPolicy:
    """The policy that acts on draws of value and surface."""
    design = surface_design(log, config.waves, segment)
    fit = fit_designed(log, design, config.ridge, config.multipliers, rng)
    maps = fit.posterior.maps(fit.posterior.coefficients(config.draws, rng))
    chosen = {**told, "hour_gain": _gain(fit)}
    return fit.policy(maps.transpose(2, 0, 1), Vote(), config.floor, chosen)


def _gain(fit: ReturnsFit) -> float:
    """Expected return of the best slot of a message over its mean slot, over messages and rows."""
    catalog, log = fit.log.catalog, fit.log
    scores = fit.moments.extended(log.features) @ fit.mean_map()[0].T  # [n, a]
    gains = []
    for message in dict.fromkeys(a.message for a in catalog.actions if a.message is not None):
        timed = [i for i, a in enumerate(catalog.actions) if a.message == message and a.slot != NOW]
        if timed:
            gains.append((scores[:, timed].max(axis=1) - scores[:, timed].mean(axis=1)).mean())
    return float(np.mean(gains))
