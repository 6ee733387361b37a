"""Means by group with errors clustered by contact, and p-values of many tests at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from nurture_rl.ope.bounds.skewed import skewed_p
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.numbering import distinct, numbered
from nurture_rl.ope.ties import settled

FEWEST = 30  # contacts behind a mean that is tested
RARE = 0.05  # chance of an action below which its weights may well not turn up
ROUNDING = 1e-6  # target and logged probabilities are stored this precisely


@dataclass(frozen=True, slots=True, eq=False)
class GroupMeans:
    """A number's mean in every group of rows."""

    mean: FloatArray  # [G]; 0 where a group is empty
    stderr: FloatArray  # clustered by contact, [G]; infinite below two contacts
    contacts: IntArray  # with a row in the group, [G]

    def p_values(
        self, expected: float | FloatArray = 0.0, rounding: float | FloatArray = ROUNDING
    ) -> FloatArray:
        """Two-sided p of each mean against what is due; 1 where contacts are too few to ask.

        Args:
            expected: what is due.
            rounding: how far the mean may lie from it by the precision of what is written, >= 0.
        """
        distance = np.maximum(np.abs(self.mean - expected) - np.maximum(rounding, ROUNDING), 0.0)
        # Agreement to within rounding and no spread is no evidence against anything.
        z = np.divide(distance, self.stderr, out=np.zeros_like(distance), where=self.stderr > 0.0)
        z[(self.stderr == 0.0) & (distance > 0.0)] = np.inf
        tail = special.stdtr(np.maximum(self.contacts - 1, 1), -z)
        return np.where(self.contacts >= FEWEST, 2.0 * tail, 1.0)


def contact_of_row(log: EvaluationLog) -> IntArray:
    """Contact of every decision, numbered 0, 1, ..., [N]."""
    contact, _ = numbered(log.cluster)
    return np.asarray(contact[log.episode], dtype=np.int64)


def group_means(
    values: FloatArray, group: IntArray, n_groups: int, contact: IntArray
) -> GroupMeans:
    """Mean of a number by group of rows; contacts may have rows in several.

    Args:
        values: a number per row, [N].
        group: group of each row in 0 .. G-1, [N].
        n_groups: G.
        contact: contact of each row, [N].
    """
    rows = np.bincount(group, minlength=n_groups)
    mean = np.bincount(group, weights=values, minlength=n_groups) / np.maximum(rows, 1)
    width = int(contact.max()) + 1
    code = group * width + contact
    place, _ = numbered(code)
    owner = distinct(code) // width
    total = np.bincount(place, weights=values - mean[group])
    contacts = np.bincount(owner, minlength=n_groups)
    square = np.bincount(owner, weights=total**2, minlength=n_groups)
    correction = contacts / np.maximum(contacts - 1, 1)
    stderr = np.sqrt(correction * square) / np.maximum(rows, 1)
    return GroupMeans(
        mean=mean,
        stderr=np.where(contacts > 1, stderr, np.inf),
        contacts=contacts.astype(np.int64),
    )


def contacts_in(group: IntArray, n_groups: int, contact: IntArray) -> IntArray:
    """Contacts with a row in each group, [G]."""
    width = int(contact.max(initial=0)) + 1
    owner = distinct(group * width + contact) // width
    return np.bincount(owner, minlength=n_groups).astype(np.int64)


def cautious_p(
    totals: FloatArray, largest: float, lacking: float = 0.0, rounding: float = 0.0
) -> float:
    """Two-sided chance of totals by contact, [C], where their mean is 0.

    What is rare and heavy often does not turn up at all, and what did then looks surer than it is:
    one more contact of a total as large as that stands for it, at either end.

    Args:
        totals: what each contact adds, [C].
        largest: the size of that total, >= 0.
        lacking: how far the sum may fall short for what is too rare to be asked about, >= 0.
        rounding: how far it may lie from 0 by the precision of what is written, >= 0.
    """
    total = float(totals.sum())
    total = min(total + lacking, 0.0) if total < 0.0 else total
    total = float(np.sign(total)) * max(abs(total) - rounding, 0.0)
    error = cautious_error(totals - totals.mean(), largest)
    return skewed_p(*settled(total, error, float(np.abs(totals).sum())))


def cautious_error(error: FloatArray, largest: float) -> FloatArray:
    """An error split by contact, [C], with two contacts more, `largest` off at either end."""
    return np.append(error, [largest, -largest])


def unseen_inverse(log: EvaluationLog, action: int, rows: IntArray) -> FloatArray:
    """Inverse of a small chance that an action had where it was not taken, else 0, [m].

    It is the second moment of the weight that did not turn up. Where another action was taken with
    probability p, and the distribution is not known, at most 1 - p was left to this one.

    Args:
        log: the logged decisions.
        action: position in the catalogue.
        rows: of the log, [m].
    """
    if log.logged_probabilities is not None:
        chance = log.logged_probabilities[rows, action]
    else:
        chance = 1.0 - log.propensity[rows]
    rare = (log.action[rows] != action) & (chance > ROUNDING) & (chance < RARE)
    return np.asarray(
        np.where(rare & log.mask[rows, action], 1.0, 0.0) / np.maximum(chance, ROUNDING)
    )


def normal_p(distance: FloatArray, stderr: FloatArray) -> FloatArray:
    """Two-sided p of distances from 0 under a normal error; 1 where there is no error at all."""
    z = np.divide(np.abs(distance), stderr, out=np.zeros_like(stderr), where=stderr > 0.0)
    return np.asarray(2.0 * special.ndtr(-z))


def family_wise(p_values: FloatArray) -> FloatArray:
    """p-values that may be read one by one after many tests, whatever their dependence.

    Source: Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
    order = np.argsort(p_values)
    left = np.arange(p_values.size, 0, -1)
    stepped = np.maximum.accumulate(np.minimum(p_values[order] * left, 1.0))
    adjusted = np.empty_like(p_values)
    adjusted[order] = stepped
    return adjusted
