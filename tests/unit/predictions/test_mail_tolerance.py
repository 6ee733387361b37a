"""Pressure by hand, and tolerances that were planted."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import FitError
from nurture_rl.predictions.mail_tolerance import HALF_LIFE, mail_tolerance, pressure_at


def test_pressure_is_the_decayed_count_of_earlier_mails() -> None:
    found = pressure_at(
        np.array([0, 0, 1]),
        np.array([HALF_LIFE, 0.0, 5.0]),
        np.array([0, 0, 0]),
        np.array([0.0, -HALF_LIFE, 3 * HALF_LIFE]),
    )
    assert found == pytest.approx([0.75, 0.5, 0.0])


def planted(mails: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mails to 600 contacts of two segments: contact, pressure, answered, true tolerance."""
    rng = np.random.default_rng(seed)
    median = np.repeat([1.5, 6.0], 300)
    bears = median * np.exp(0.5 * rng.normal(size=600))
    who = np.repeat(np.arange(600), mails)
    pressure = rng.uniform(0.0, 8.0, who.size)
    answered = rng.random(who.size) < 0.6 * 2.0 ** (-pressure / bears[who])
    return who, pressure, answered, bears


SEGMENT = np.repeat([0, 1], 300)


def test_planted_tolerances_of_segments_and_people_are_recovered() -> None:
    who, pressure, answered, bears = planted(mails=40)
    found = mail_tolerance(who, pressure, answered, SEGMENT)
    assert found.of_segment == pytest.approx([1.5, 6.0], rel=0.2)
    assert found.base == pytest.approx([0.6, 0.6], abs=0.06)
    for of in (SEGMENT == 0, SEGMENT == 1):
        assert np.corrcoef(np.log(found.of_contact[of]), np.log(bears[of]))[0, 1] > 0.6


def test_who_got_few_mails_is_taken_for_its_segment() -> None:
    few, many = (
        mail_tolerance(who, pressure, answered, SEGMENT)
        for who, pressure, answered, _ in (planted(mails=3), planted(mails=40))
    )
    low = SEGMENT == 0
    assert np.log(few.of_contact[low]).std() < 0.6 * np.log(many.of_contact[low]).std()


def test_a_person_of_whom_nothing_is_known_has_the_median() -> None:
    who, pressure, answered, _ = planted(mails=20)
    known = who != 5
    found = mail_tolerance(who[known], pressure[known], answered[known], SEGMENT)
    assert found.of_contact[5] == pytest.approx(found.of_segment[0], rel=0.02)


def test_too_few_answers_are_refused() -> None:
    with pytest.raises(FitError, match="0 mails were answered, 50 are needed"):
        mail_tolerance(np.zeros(9, int), np.zeros(9), np.zeros(9, bool), np.zeros(1, int))


def test_answers_that_do_not_fall_with_pressure_tell_no_tolerance() -> None:
    rng = np.random.default_rng(2)
    who, pressure, answered, _ = planted(mails=20)
    with pytest.raises(FitError, match="no more than luck"):
        mail_tolerance(who, pressure, rng.permutation(answered), SEGMENT)
