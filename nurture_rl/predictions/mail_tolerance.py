"""How much mail each contact bears, and how near to that it is now.

The pressure of mail is the decayed count of sends. An answer to a mail becomes half as likely for
each `tolerance` of pressure at which it comes:

    chance(answer | pressure) = base 2^(-pressure / tolerance)

Tolerances of a segment are log-normal; its median and spread, and the base, are fitted by
expectation and maximisation on a grid, and a contact's tolerance is its posterior mean: of who
got few mails it is nearly that of the segment.

Source: Dempster, Laird & Rubin (1977), Maximum Likelihood from Incomplete Data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import FitError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HALF_LIFE = 7.0  # days in which half of the pressure is forgotten
WEEKLY = 1.0 / (1.0 - 2.0 ** (-7.0 / HALF_LIFE))  # pressure that a mail a week keeps up
_GRID = np.exp(np.linspace(np.log(0.2), np.log(40.0), 41))  # tolerances, of pressure
_MOST_SPREAD, _LEAST_SPREAD = 1.2, 0.15  # standard deviation of the logarithm
_ROUNDS, _SETTLED = 60, 1e-3
_GAIN = 3.0  # log-likelihood by which pressure must explain answers better than nothing does
_FEW = 50  # answers below which nothing is fitted


@dataclass(frozen=True, slots=True, eq=False)
class MailTolerance:
    """Tolerances, of pressure."""

    of_contact: FloatArray  # posterior mean of the logarithm, as a tolerance, [contacts]
    of_segment: FloatArray  # medians, [segments]
    spread: float  # standard deviation of the logarithm within a segment
    base: FloatArray  # chance of an answer without pressure, [segments]


def pressure_at(
    contact: IntArray, when_days: FloatArray, sent_by: IntArray, sent_days: FloatArray
) -> FloatArray:
    """Decayed count of the mails that each contact got before a moment, [n].

    Args:
        contact: [n].
        when_days: the moments, [n].
        sent_by: contact of each mail, [m].
        sent_days: when it was sent, [m].
    """
    order = np.lexsort((sent_days, sent_by))
    who, at = sent_by[order], sent_days[order]
    begin = np.searchsorted(who, contact, side="left")
    count = np.searchsorted(who, contact, side="right") - begin
    row = np.repeat(np.arange(contact.size), count)
    mail = (
        np.repeat(begin, count) + np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    )
    since = when_days[row] - at[mail]
    earlier = since > 0.0
    decayed = 2.0 ** (-since[earlier] / HALF_LIFE)
    return np.bincount(row[earlier], weights=decayed, minlength=contact.size).astype(np.float64)


def mail_tolerance(
    contact: IntArray,
    pressure: FloatArray,
    answered: BoolArray,
    segment: IntArray,
) -> MailTolerance:
    """Fit tolerances to mails.

    Args:
        contact: code of each mail's contact, [m].
        pressure: of the mails before it, [m].
        answered: within its window, [m].
        segment: of every contact, [contacts].

    Raises:
        FitError: too few mails were answered, or answers do not depend on pressure.
    """
    if answered.sum() < _FEW:
        raise FitError(f"{int(answered.sum())} mails were answered, {_FEW} are needed")
    n_segments = int(segment.max()) + 1
    of = segment[contact]
    sent = np.bincount(of, minlength=n_segments).astype(np.float64)
    base = np.full(n_segments, min(2.0 * float(answered.mean()), 0.9))
    median, spread = np.full(n_segments, np.log(3.0)), 0.6
    kept = 2.0 ** (-pressure[:, None] / _GRID)  # share of the base that is left, [m, grid]
    posterior, likelihood = np.empty((segment.size, _GRID.size)), -np.inf
    for _ in range(_ROUNDS):
        posterior, likelihood = _posterior(
            contact, kept, answered, base[of], median[segment], spread
        )
        means = posterior @ np.log(_GRID)
        squares = posterior @ np.log(_GRID) ** 2
        before = np.concatenate([median, base, [spread]])
        heard = np.bincount(contact, minlength=segment.size) > 0
        size = np.bincount(segment[heard], minlength=n_segments)
        total = np.bincount(segment[heard], weights=means[heard], minlength=n_segments)
        median = np.where(size > 0, total / np.maximum(size, 1), median)
        around = squares - 2.0 * means * median[segment] + median[segment] ** 2
        spread = float(np.clip(np.sqrt(around[heard].mean()), _LEAST_SPREAD, _MOST_SPREAD))
        left = np.einsum("mg,mg->m", posterior[contact], kept)
        answers = np.bincount(of, weights=answered, minlength=n_segments)
        asked = np.bincount(of, weights=left, minlength=n_segments)
        base = np.where(sent > 0, np.clip((answers + 0.5) / (asked + 1.0), 1e-5, 0.98), base)
        if np.abs(np.concatenate([median, base, [spread]]) - before).max() < _SETTLED:
            break
    if likelihood < _flat(answered, of, n_segments) + _GAIN:
        raise FitError("answers fall with the pressure of mail by no more than luck would have it")
    return MailTolerance(np.exp(posterior @ np.log(_GRID)), np.exp(median), spread, base)


def _flat(answered: BoolArray, of: IntArray, n_segments: int) -> float:
    """Log-likelihood where pressure does nothing."""
    sent = np.bincount(of, minlength=n_segments)
    came = np.bincount(of, weights=answered, minlength=n_segments)
    rate = np.clip(came / np.maximum(sent, 1), 1e-12, 1.0 - 1e-12)
    return float(came @ np.log(rate) + (sent - came) @ np.log1p(-rate))


def _posterior(
    contact: IntArray,
    kept: FloatArray,
    answered: BoolArray,
    base: FloatArray,
    median: FloatArray,
    spread: float,
) -> tuple[FloatArray, float]:
    """Chance of each tolerance of the grid for each contact, [contacts, grid], and of the data."""
    chance = np.minimum(base[:, None] * kept, 1.0 - 1e-9)
    said = np.where(answered[:, None], np.log(chance), np.log1p(-chance))
    prior = np.exp(-0.5 * ((np.log(_GRID) - median[:, None]) / spread) ** 2)
    prior /= prior.sum(1, keepdims=True)
    weight = np.log(prior + 1e-300) + _by_contact(contact, said, len(prior))
    top = weight.max(1, keepdims=True)
    weight = np.exp(weight - top)
    total = weight.sum(1, keepdims=True)
    return np.asarray(weight / total), float((np.log(total) + top).sum())


def _by_contact(contact: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sums over each contact's mails, [m, grid] -> [n, grid]."""
    order = np.argsort(contact, kind="stable")
    who = contact[order]
    starts = np.flatnonzero(np.append(True, who[1:] != who[:-1]))
    sums = np.zeros((n, values.shape[1]))
    sums[who[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return sums
