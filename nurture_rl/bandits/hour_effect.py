"""Whether the hour of a send matters at all on this list: a test with a stated error rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.day_waves import day_waves
from nurture_rl.learned.training_log import TrainingLog

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_DUST = 1e-9  # of the largest column: what rounding leaves of a column that others explain
_CHUNK = 256  # sign vectors at a time


@dataclass(frozen=True, slots=True)
class HourEffect:
    """What the test of the hour found."""

    p_value: float  # that no hour matters to anybody, of both questions together
    p_common: float  # that no hour is better for all
    p_personal: float  # that no hour is better for some than for others
    sends: int  # sends whose hour was a choice
    contacts: int  # that got them
    needed: int  # only more sends than this are tested; else every p is 1


def hour_effect(
    rows: TrainingLog, waves: int, resamples: int, rng: np.random.Generator
) -> HourEffect:
    """Test whether returns depend on the hour of a send.

        T = sum_j (sum_c S_cj)^2 / sum_c S_cj^2,    S_c = sum of v_i e_i over sends i of contact c

    v are the waves of the hour less their mean over the hours that were legal for the message, and
    less what context and message explain of them; e is what they explain of the return. Without
    an effect S has mean 0 where either of the two explanations is right: always where hours were
    drawn without regard to the context, as a random design does. T is compared with what it is
    when each contact's S gets a random sign, so returns may have any distribution and decisions of
    a contact may depend on each other.

    A list with few such sends, at most twice as many as columns explain them, shows nothing: its p
    is 1.

    Two questions are asked, whether an hour is better for all, and whether it is better for some
    than for others (v times the context); the p-value is twice the smaller one.

    Args:
        rows: decisions with a choice.
        waves: see `day_waves`.
        resamples: sign vectors; p-values are multiples of 1 / (resamples + 1).
        rng: draws the signs.

    Raises:
        FitError: fewer than two hours to send at.

    Source: Hemerik, Goeman & Finos (2020), Robust testing in generalized linear models by sign
        flipping score contributions; Chernozhukov et al. (2018), Double/debiased machine learning,
        for taking off what the context explains; Robinson (1988).
    """
    hours = _centred(rows, day_waves(rows.catalog, waves))
    chosen = np.abs(hours).max(axis=1) > 0.0
    needed = 2 * (1 + rows.features.shape[1] + len(_messages(rows.catalog)))
    if chosen.sum() <= needed:
        contacts = len(np.unique(rows.code[chosen]))
        return HourEffect(1.0, 1.0, 1.0, int(chosen.sum()), contacts, needed)
    sent = rows.take(np.flatnonzero(chosen))
    context = ContextMoments.of(sent.features).extended(sent.features)
    message = np.eye(len(_messages(rows.catalog)))[_message_of(rows.catalog)[sent.action]]
    known = np.hstack([context, message[:, 1:]])
    waved, returns = _residual(known, hours[chosen]), _residual(known, sent.returns[:, None])
    personal = (waved[:, :, None] * context[:, None, 1:]).reshape(len(waved), -1)
    known_too = np.hstack([known, waved])
    scores = _residual(known_too, personal) * _residual(known_too, returns)
    # Residuals of a fit are too small for the signs to show all of their spread.
    n, free = sent.action.size, sent.action.size - np.linalg.matrix_rank(known)
    p_common = _sign_flipped(waved * returns, sent.code, n / free, resamples, rng)
    personal_free = max(free - waved.shape[1], 1)
    p_personal = _sign_flipped(scores, sent.code, n / personal_free, resamples, rng)
    return HourEffect(
        p_value=min(1.0, 2.0 * min(p_common, p_personal)),
        p_common=p_common,
        p_personal=p_personal,
        sends=sent.action.size,
        contacts=int(sent.code.max()) + 1,
        needed=needed,
    )


def _messages(catalog: ActionCatalog) -> list[str]:
    return list(dict.fromkeys(a.message.id for a in catalog.actions if a.message is not None))


def _message_of(catalog: ActionCatalog) -> IntArray:
    """Position of each action's message, 0 where it sends nothing, [a]."""
    names = _messages(catalog)
    return np.array([names.index(a.message.id) if a.message else 0 for a in catalog.actions])


def _centred(rows: TrainingLog, waves: FloatArray) -> FloatArray:
    """Waves of each row's hour less their mean over the legal hours of its message, [n, q].

    Exactly 0 where there was no choice of hours.
    """
    catalog = rows.catalog
    timed = np.array([a.message is not None and a.slot != NOW for a in catalog.actions])
    message = np.where(timed, _message_of(catalog), -1)
    hours = np.zeros((rows.action.size, waves.shape[1]))
    for one in range(message.max() + 1):
        own = message == one
        taken = np.flatnonzero(own[rows.action])
        legal = rows.mask[taken] & own
        mean = (legal @ waves) / legal.sum(axis=1, keepdims=True)
        several = legal.sum(axis=1, keepdims=True) > 1
        hours[taken] = np.where(several, waves[rows.action[taken]] - mean, 0.0)
    return hours


def _residual(known: FloatArray, columns: FloatArray) -> FloatArray:
    """What the known columns leave of others, exactly 0 where that is rounding, [n, q].

    Args:
        known: columns that explain, [n, p].
        columns: of one unit, for what is rounding is told by the largest, [n, q].
    """
    left = columns - known @ np.linalg.lstsq(known, columns, rcond=None)[0]
    size = np.sqrt((columns**2).sum(axis=0))
    return np.where(np.sqrt((left**2).sum(axis=0)) > _DUST * size.max(), left, 0.0)


def _sign_flipped(
    scores: FloatArray, contact: IntArray, inflate: float, resamples: int, rng: np.random.Generator
) -> float:
    """Share of random signs of contacts whose statistic is as large, the logged one among them.

    Args:
        scores: of each send, [n, q].
        contact: of each send, 0 .. C-1, [n].
        inflate: factor of the statistics of random signs, >= 1.
        resamples: sign vectors.
        rng: draws them.
    """
    sums = np.zeros((int(contact.max()) + 1, scores.shape[1]))
    np.add.at(sums, contact, scores)
    sums = sums / np.sqrt(np.maximum((sums**2).sum(axis=0), 1e-300))
    observed = float((sums.sum(axis=0) ** 2).sum()) / inflate
    as_large = 1
    for start in range(0, resamples, _CHUNK):
        signs = rng.integers(0, 2, (min(_CHUNK, resamples - start), len(sums))) * 2.0 - 1.0
        as_large += int((((signs @ sums) ** 2).sum(axis=1) >= observed * (1.0 - 1e-12)).sum())
    return as_large / (resamples + 1)
