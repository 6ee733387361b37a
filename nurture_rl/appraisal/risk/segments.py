"""Value by segment of contacts: where a policy gains, without finding gains in noise.

An estimate's influence says what each contact brought to it. With E episodes, n_c of them of
contact c, and the estimate V with influence psi,

    y_c = E psi_c + n_c V,    V_s = sum_{c in s} y_c / sum_{c in s} n_c

so that segment values weighted by their share of episodes add up to V, for every estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.ope.checks.grouped import family_wise
from nurture_rl.ope.clusters import cluster_totals, clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, cumulative_weights, effective_sample_size
from nurture_rl.ope.intervals import Interval, clustered_interval
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, first_rows
from nurture_rl.ope.ties import settled


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """When a segment is spoken of, and how sure all statements together are."""

    min_ess: float = 50.0  # effective episodes below which a segment is not judged
    level: float = 0.95  # chance that all intervals cover together, in (0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """A policy and the reference on one log, and which segment each contact belongs to."""

    log: EvaluationLog
    taken: FloatArray  # the policy's probability of each logged action, [N]
    policy: ValueEstimate
    reference: ValueEstimate
    segment: NDArray[np.str_]  # of each contact, contacts in ascending order, [C]
    alike: BoolArray | None = None  # contacts with whom both act alike, [C]; None: not known


class SegmentVerdict(StrEnum):
    """What the log says of a policy in one segment."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot_tell"
    SAME = "same"  # both act alike there


@dataclass(frozen=True, slots=True)
class SegmentValue:
    """A policy in one segment of contacts."""

    name: str
    share: float  # of the log's episodes; shares add up to 1
    n_contacts: int
    ess: float  # effective episodes under the policy's weights
    value: float  # of the policy, in the log's unit per episode
    difference: float  # to the reference, in the same segment
    stderr: float  # of the difference, clustered by contact
    interval: Interval | None  # of the difference, simultaneous over judged segments; None: not one
    p_value: float | None  # of no difference, by Holm over judged segments; None: not judged
    verdict: SegmentVerdict
    reason: str


def contact_labels(log: EvaluationLog, label: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
    """The label of each contact's first decision, contacts in ascending order, [C].

    Raises:
        ShapeError: not one label per decision.
    """
    labels = np.asarray(label, dtype=np.str_)
    if labels.shape != (log.n_rows,):
        raise ShapeError(f"expected one label per decision, {log.n_rows}, got {labels.shape}")
    _, first_episode = np.unique(log.cluster, return_index=True)
    return np.asarray(labels[first_rows(log)[first_episode]], dtype=np.str_)


def value_by_segment(asked: Segmented, config: SegmentConfig) -> tuple[SegmentValue, ...]:
    """Split a policy's value and its difference to the reference by segment.

    Segments share no contact, so their errors are independent and k intervals cover together at
    `level` when each covers at level^(1/k): what a bootstrap of the largest t statistic tends to.
    The verdict follows the p-value by Holm, which needs no independence.

    Args:
        asked: the policy, the reference, and the segment of each contact.
        config: when a segment is judged, and the level of all statements together.

    Returns:
        Segments by name. One with too small an effective sample, or with fewer than two contacts,
        is given its value for the sum, but no interval and the verdict `cannot_tell`.

    Raises:
        ShapeError: segments or influences that are not one per contact of the log, or a level
            outside (0, 1).

    Source: Athey & Wager (2019), Estimating Treatment Effects with Causal Forests, for averaging
        doubly robust scores by group; Sidak (1967) for the intervals, Holm (1979) for p-values.
    """
    if not 0.0 < config.level < 1.0:
        raise ShapeError(f"a level is a probability in (0, 1), got {config.level}")
    parts = _parts(asked)
    judged = [part for part in parts if part.ess >= config.min_ess and part.n_contacts > 1]
    adjusted = iter(family_wise(np.array([_p_value(part) for part in judged])))
    each = config.level ** (1.0 / max(len(judged), 1))
    return tuple(
        _judged(part, float(next(adjusted)), each, config)
        if part in judged
        else _unjudged(part, config)
        for part in parts
    )


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    share: float
    n_contacts: int
    ess: float
    value: float
    difference: float
    stderr: float

    @property
    def same(self) -> bool:
        """Whether policy and reference are one here."""
        return self.difference == 0.0 and self.stderr == 0.0


def _parts(asked: Segmented) -> list[_Part]:
    _require_contacts(asked)
    log = asked.log
    names, member = np.unique(asked.segment, return_inverse=True)
    episodes = cluster_totals(log, np.ones(log.n_episodes))
    own, other = _brought(asked.policy, episodes), _brought(asked.reference, episodes)
    apart, size = own - other, np.abs(own) + np.abs(other)
    if asked.alike is not None:
        apart = np.where(_same_segments(asked.alike, member)[member], 0.0, apart)
    _, contact = np.unique(log.cluster, return_inverse=True)
    weights = cumulative_weights(log, asked.taken)[:, -1]
    parts = []
    for s, name in enumerate(names):
        inside = member == s
        count = episodes[inside].sum()
        difference = apart[inside].sum() / count
        influence = (apart[inside] - difference * episodes[inside]) / count
        difference, influence = settled(
            float(difference), influence, float(size[inside].sum() / count)
        )
        parts.append(
            _Part(
                name=str(name),
                share=float(count / log.n_episodes),
                n_contacts=int(inside.sum()),
                ess=effective_sample_size(weights[inside[contact]]),
                value=float(own[inside].sum() / count),
                difference=difference,
                stderr=clustered_stderr(influence),
            )
        )
    return parts


def _same_segments(alike: BoolArray, member: NDArray[np.intp]) -> BoolArray:
    """Segments in which both act alike with every contact, by number."""
    return np.asarray(np.bincount(member, weights=~alike) == 0.0, dtype=np.bool_)


def _brought(estimate: ValueEstimate, episodes: FloatArray) -> FloatArray:
    """What each contact brought to an estimate, summed over its episodes: y, [C]."""
    return np.asarray(
        estimate.n_episodes * estimate.influence + episodes * estimate.value, dtype=np.float64
    )


def _p_value(part: _Part) -> float:
    """Two-sided chance of such a difference where there is none."""
    from scipy.special import stdtr

    if part.stderr == 0.0:
        return float(part.difference == 0.0)
    return 2.0 * float(stdtr(part.n_contacts - 1, -abs(part.difference) / part.stderr))


def _judged(part: _Part, p_value: float, each: float, config: SegmentConfig) -> SegmentValue:
    if part.same:
        none = Interval(0.0, 0.0, config.level, "same")
        return _told(part, none, 1.0, SegmentVerdict.SAME, "both act alike here: no difference")
    own = clustered_interval(part.difference, part.stderr, part.n_contacts, each)
    interval = Interval(own.lower, own.upper, config.level, "sidak-t")
    verdict = SegmentVerdict.CANNOT_TELL
    if p_value <= 1.0 - config.level:
        verdict = SegmentVerdict.BETTER if part.difference > 0.0 else SegmentVerdict.WORSE
    reason = (
        f"difference to the reference {part.difference:+.4g}, {config.level:.4g} interval together "
        f"with the other segments' {interval.lower:+.4g} to {interval.upper:+.4g}, p {p_value:.3g} "
        "after Holm"
    )
    return _told(part, interval, p_value, verdict, reason)


def _unjudged(part: _Part, config: SegmentConfig) -> SegmentValue:
    reason = (
        f"effective sample size {part.ess:.1f} of {part.n_contacts} contacts does not carry a "
        f"statement of its own; {config.min_ess:.0f} are asked for"
    )
    return _told(part, None, None, SegmentVerdict.CANNOT_TELL, reason)


def _told(
    part: _Part,
    interval: Interval | None,
    p_value: float | None,
    verdict: SegmentVerdict,
    reason: str,
) -> SegmentValue:
    return SegmentValue(
        name=part.name,
        share=part.share,
        n_contacts=part.n_contacts,
        ess=part.ess,
        value=part.value,
        difference=part.difference,
        stderr=part.stderr,
        interval=interval,
        p_value=p_value,
        verdict=verdict,
        reason=reason,
    )


def _require_contacts(asked: Segmented) -> None:
    contacts = np.unique(asked.log.cluster).size
    shapes = [asked.segment.shape, asked.policy.influence.shape, asked.reference.influence.shape]
    shapes += [] if asked.alike is None else [asked.alike.shape]
    if any(shape != (contacts,) for shape in shapes):
        raise ShapeError(
            f"segments, influences and what is alike must be one per contact, [{contacts}], got "
            f"{', '.join(str(shape) for shape in shapes)}; estimate on this log and label its "
            "contacts in ascending order, as `contact_labels` does"
        )
