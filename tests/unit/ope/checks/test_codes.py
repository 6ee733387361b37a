"""Codes for missing are told from large, rare and low values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.checks.codes import codes_finding, likely_codes
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import Severity
from nurture_rl.ope.log import FloatArray
from tests.unit.ope.log_makers import random_log

AGES = np.linspace(18.0, 80.0, 100)


def coded(code: float, times: int = 3, others: FloatArray = AGES) -> FloatArray:
    return np.concatenate([others, np.full(times, code)])


@pytest.mark.parametrize("code", [-999.0, -1000.0, 999.0, 9999.0, -777.0, -(2.0**31), 32767.0])
def test_a_repeated_lone_code_is_found(code: float) -> None:
    assert likely_codes(coded(code)) == [(code, 3)]


@pytest.mark.parametrize(
    "values",
    [
        coded(-999.0, times=2),  # not repeated
        coded(1000.0, times=50),  # a large sale that is no code
        coded(-20.0, others=np.linspace(-5.0, 80.0, 100)),  # a cost within reach of the others
        coded(99.0),  # an age
        coded(-999.0, others=np.linspace(0.0, 80.0, 9)),  # too few others to have a range
        coded(-99.0, others=np.linspace(-80.0, 80.0, 100)),
        np.repeat([0.0, 1.0], 50),
        coded(-99.5, others=np.linspace(-1.0, 1.0, 100)),  # a number like others
        coded(-989.0, others=np.linspace(-1.0, 1.0, 100)),
    ],
)
def test_what_may_be_a_value_is_none(values: FloatArray) -> None:
    assert likely_codes(values) == []


def test_a_code_hides_no_other_one() -> None:
    assert likely_codes(np.concatenate([coded(-999.0), [9999.0] * 4])) == [(9999.0, 4), (-999.0, 3)]


def test_a_lone_value_below_0_is_a_code_where_nothing_else_is() -> None:
    shares = np.linspace(0.0, 0.1, 20)
    assert likely_codes(coded(-1.0, others=shares)) == [(-1.0, 3)]
    assert likely_codes(coded(-1.0, others=shares - 0.01)) == []


def test_far_is_five_ranges_away() -> None:
    assert likely_codes(coded(999.0, others=np.linspace(0.0, 166.0, 11))) == [(999.0, 3)]
    assert likely_codes(coded(999.0, others=np.linspace(0.0, 167.0, 11))) == []


def test_codes_in_rewards_refuse_and_name_the_setting() -> None:
    log = random_log(0, [1] * 103)
    found = codes_finding(replace(log, reward=coded(-999.0)), LogContext())
    assert found.severity is Severity.REFUSE
    assert "-999 in rewards (3 times)" in found.sentence
    assert "data.missing=[-999]" in found.advice
    assert found.numbers == {"rewards": 1.0, "features": 0.0}


def test_codes_in_features_warn_by_name() -> None:
    log = random_log(0, [1] * 103)
    features = np.stack([AGES[np.arange(103) % 100], coded(-888.0)], axis=1).astype(np.float32)
    found = codes_finding(replace(log, features=features), LogContext(feature_names=("x", "age")))
    assert found.severity is Severity.WARN
    assert "-888 in age (3 times)" in found.sentence
    assert found.numbers == {"rewards": 0.0, "features": 1.0}


def test_a_clean_log_has_none() -> None:
    found = codes_finding(random_log(0, [1] * 103), LogContext())
    assert (found.severity, found.advice) == (Severity.OK, "")


def test_no_more_than_five_codes_are_named() -> None:
    log = random_log(0, [1] * 103)
    features = np.stack([coded(-999.0)] * 7, axis=1).astype(np.float32)
    found = codes_finding(replace(log, features=features), LogContext())
    assert found.sentence.count("-999 in") == 5
    assert found.sentence.endswith("and 2 more")
    five = codes_finding(replace(log, features=features[:, :5]), LogContext())
    assert five.sentence.endswith("feature 4 (3 times)")


def test_what_is_said_to_be_a_value_is_no_code() -> None:
    """A yearly plan for 999 among small orders is a price."""
    prices = np.append(np.arange(20.0), [999.0] * 4)
    log = replace(random_log(0, [1] * prices.size), reward=prices)
    found = codes_finding(log, LogContext())
    assert found.severity is Severity.REFUSE
    assert "data.values=[999]" in found.advice
    assert codes_finding(log, LogContext(values=(999.0,))).severity is Severity.OK
