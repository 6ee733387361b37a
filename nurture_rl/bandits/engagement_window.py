"""Send when the person was active before: the plain alternative to learning send times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_rl.bandits.factored_actions import factored_design
from nurture_rl.bandits.pooled_means import pooled_means
from nurture_rl.bandits.returns_fit import ReturnsFit, fit_designed
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LEAD = 1e-6  # of a return's spread: what the best hour adds, so that it settles ties alone
_MOST_SHRUNK = 1e6  # counts that the segment's hours are worth where nobody differs from it


@dataclass(frozen=True, slots=True)
class EngagementWindowConfig:
    """Whose hours count, how to fit and to explore."""

    # Beginning of the columns that count a person's own engagement by local hour, such as
    # clicks_at_ for clicks_at_09; empty: none, and all slots are alike.
    own: str = ""
    segment: str = ""  # feature with levels that names the segment, such as industry; empty: none
    width: float = 2.0  # hours off a slot at which engagement counts exp(-1/2) for it, > 0
    draws: int = 128  # posterior draws that vote on message or none
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact

    def __post_init__(self) -> None:
        require_settings(self, width=(LEAST, 12.0))


def fit_engagement_window(
    log: TrainingLog, config: EngagementWindowConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Choose message or none by Thompson sampling, and the slot by when the person was active.

        window(s) = sum_h near(h, s) (count_h + strength share_h),
        near(h, s) = exp(-1/2) at `width` hours off,  share_h: the segment's share of hour h

    Of a person without history it is the segment's window, of one with much it is his own: the
    strength is how many counts the segment is worth, and follows from how much persons differ
    (`pooled_means`). The value of sending knows no hours, so that the window alone chooses among
    the slots of a message; where it has nothing to say they are all alike.

    The counts are features of the journey, such as attributes that a system in use keeps:
    `clicks_at_09: {kind: attribute, default: 0}`. No journey that comes with the library has any.

    Args:
        log: the decisions.
        config: whose hours count, how to fit and to explore.
        seed: of the signs of the clustering measure, then of the draws.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells what that of `linear_thompson` does, and `window_strength`,
        in counts; 0 where no column counts engagement by hour.

    Raises:
        FitError: a column is named that the log lacks, or there is too little to fit.

    Source: engagement windows as senders' tools have them; the shrinkage is that of a
        Dirichlet-multinomial model, its strength by moments.
    """
    rng = np.random.default_rng(seed)
    design = factored_design(log.catalog, log.features.shape[1], without=("slot",))
    fit = fit_designed(log, design, config.ridge, config.multipliers, rng)
    maps = fit.posterior.maps(fit.posterior.coefficients(config.draws, rng))
    window, strength = _window_map(fit, config)
    told = {"window_strength": strength}
    policy = fit.policy(maps.transpose(2, 0, 1) + window, Vote(), config.floor, told)
    progress(0, dict(policy.fit))
    return policy


def segment_columns(log: TrainingLog, feature: str) -> IntArray:
    """Positions of the columns of a feature with levels; none if it is empty.

    Raises:
        FitError: the log has no such columns.
    """
    return _columns_of(log, f"{feature}=" if feature else "", "segment")


def own_hours(log: TrainingLog, beginning: str) -> tuple[IntArray, FloatArray]:
    """Columns of engagement by local hour and their hours, [h] each.

    Raises:
        FitError: a column does not end in an hour of the day.
    """
    places = _columns_of(log, beginning, "own")
    ends = [log.columns[place].removeprefix(beginning) for place in places]
    wrong = [end for end in ends if not re.fullmatch(r"\d{1,2}", end) or int(end) > 23]
    if wrong:
        raise FitError(
            f"own: expected columns {beginning}00 to {beginning}23, got {beginning}{wrong[0]}; "
            "let the name end in the local hour"
        )
    return places, np.array([float(end) for end in ends])


def _columns_of(log: TrainingLog, beginning: str, setting: str) -> IntArray:
    """Positions of the feature columns of a common beginning; none if it is empty."""
    places = [i for i, name in enumerate(log.columns) if beginning and name.startswith(beginning)]
    if beginning and not places:
        raise FitError(
            f"{setting}: expected feature columns that begin with {beginning!r}, got "
            f"{', '.join(log.columns[:8])}, ...; name features of the journey"
        )
    return np.array(places, np.int64)


def _window_map(fit: ReturnsFit, config: EngagementWindowConfig) -> tuple[FloatArray, float]:
    """What the window adds to scores as a map of [1, x~], [a, d + 1], and its strength."""
    log, moments = fit.log, fit.moments
    places, hours = own_hours(log, config.own)
    segment = segment_columns(log, config.segment)
    raw = np.zeros((len(log.catalog), log.features.shape[1] + 1))  # map of [1, x]
    strength = 0.0
    if places.size:
        near = _near(log.catalog, hours, config.width)  # [a, h]
        shares, strength = _shares(log, places, segment)
        raw[:, 0] = near @ (strength * shares[0])
        raw[:, 1 + segment] = near @ (strength * (shares[1:] - shares[0])).T
        raw[:, 1 + places] += near
    maps = raw.copy()
    maps[:, 1:] = raw[:, 1:] * moments.scale
    maps[:, 0] += raw[:, 1:] @ moments.mean
    largest = np.abs(maps).sum(axis=1).max()
    return maps * (_LEAD * float(log.returns.std()) / max(largest, 1e-300)), strength


def _near(catalog: ActionCatalog, hours: FloatArray, width: float) -> FloatArray:
    """How much engagement at each hour counts for each timed send, 0 for other actions, [a, h]."""
    off = (catalog.slots[:, None] - hours) * (2.0 * pi / 24.0)
    near = np.exp((12.0 / (pi * width)) ** 2 * (np.cos(off) - 1.0))
    return np.asarray(np.where(catalog.slots[:, None] == NOW, 0.0, near), np.float64)


def _shares(log: TrainingLog, places: IntArray, segment: IntArray) -> tuple[FloatArray, float]:
    """The segments' shares of each hour, [1 + segments, h], the first of nobody's segment.

    A person is the last decision of an episode, with all counts up to it. An hour that is all or
    nothing of each person's counts, as where one person alone ever clicked, is the list's for all
    and says nothing of how much persons differ.
    """
    last = np.append(log.episode[1:] != log.episode[:-1], True)
    persons = log.features[last].astype(np.float64)
    counts, group = np.maximum(persons[:, places], 0.0), np.zeros(len(persons), np.int64)
    for place, column in enumerate(segment):
        group[persons[:, column] > 0.5] = 1 + place
    total = counts.sum(axis=1)
    shares, within, between = np.zeros((1 + segment.size, places.size)), 0.0, 0.0
    for place, count in enumerate(counts.T):
        if not (count * (total - count)).any():
            shares[:, place] = count.sum() / max(float(total.sum()), 1.0)
            continue
        found = pooled_means(total, count, float(count.sum()), group)
        shares[:, place] = found.overall
        shares[: found.group.size, place] = found.group
        within, between = within + found.within, between + found.between_units
    return shares, min(within / between, _MOST_SHRUNK) if between > 0.0 else _MOST_SHRUNK
