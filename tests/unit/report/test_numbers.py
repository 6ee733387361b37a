"""Numbers carry as many digits as their intervals deserve."""

from __future__ import annotations

import pytest

from nurture_rl.report.numbers import (
    Bounded,
    count,
    moment,
    percent,
    sentence_case,
    shortened,
    shown,
)
from nurture_rl.report.source import ReportInput, number, numbers


@pytest.mark.parametrize(
    ("bounded", "text"),
    [
        (Bounded(12.3456, 10.12, 14.52), "12.3 [10.1, 14.5]"),
        (Bounded(0.0554, 0.0471, 0.0629), "0.055 [0.047, 0.063]"),
        (Bounded(1234.5, 900.0, 1600.0), "1,234 [900, 1,600]"),
        (Bounded(-0.5, -1.25, 0.25), "−0.5 [−1.2, 0.2]"),
        (Bounded(2.0, 2.0, 2.0), "2.00 [2.00, 2.00]"),
        (Bounded(-0.150000000000005, -0.15000000000001, -0.15), "−0.150 [−0.150, −0.150]"),
        (Bounded(5.123456789, 5.12345671, 5.12345683), "5.123457 [5.123457, 5.123457]"),
        (Bounded(4e-16, 3.9e-16, 4.1e-16), "4.0e−16 [3.9e−16, 4.1e−16]"),
        (Bounded(-3e-9, -4e-9, 2e-9), "−3.0e−9 [−4.0e−9, 2.0e−9]"),
        (Bounded(0.0, -0.001, 0.2), "0.00 [0.00, 0.20]"),
        (Bounded(0.0, 0.0, 0.0), "0 [0, 0]"),
        (Bounded(12.3456, None, 14.52), "12.3"),
        (Bounded(None, 1.0, 2.0), "–"),
    ],
)
def test_an_interval_sets_the_digits(bounded: Bounded, text: str) -> None:
    assert bounded.shown() == text


def test_no_number_of_an_interval_fills_a_line() -> None:
    assert Bounded(1e300, -2e300, 3e300).shown(signed=True) == "+1.0e300 [−2.0e300, +3.0e300]"
    assert Bounded(1.0, -2e300, 3e15).shown() == "1 [−2.0e300, 3.0e15]"


def test_a_difference_shows_its_sign() -> None:
    assert Bounded(1.5, 0.5, 2.5).shown(signed=True) == "+1.5 [+0.5, +2.5]"
    assert Bounded(4e-16, 3.9e-16, 4.1e-16).shown(signed=True).startswith("+4.0e−16 [")
    assert Bounded(0.0, 0.0, 0.0).shown(signed=True) == "0 [0, 0]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (5.678, "5.68"),
        (123.4, "123"),
        (-98765.4, "−98,765"),
        (2e-6, "0.000002"),
        (-1.23e-7, "−1.2e−7"),
        (999e12, "999,000,000,000,000"),
        (-6.66e296, "−6.7e296"),
    ],
)
def test_a_bare_number_has_three_digits(value: float, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 %"),
        (0.5, "50.0 %"),
        (0.0042, "0.42 %"),
        (0.00042, "0.042 %"),
        (1e-7, "< 0.001 %"),
        (None, "–"),
    ],
)
def test_small_shares_keep_a_digit_that_says_something(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_what_is_no_number_is_missing() -> None:
    source = {"a": [1, None, float("nan"), float("inf"), "2", True], "b": {"c": 3}}
    assert numbers(source, "a") == [1.0, None, None, None, None, None]
    assert number(source, "b", "c") == 3.0
    assert number(source, "b", "c", "d") is None
    assert count(None) == "–"
    assert count(1234567.0) == "1,234,567"


def test_texts_are_made_for_reading() -> None:
    assert sentence_case("MINIMUM_GAP") == "minimum gap"
    assert shortened("short", 5) == "short"
    assert shortened("abcdefghij", 7) == "abcd…ij"
    assert moment("2027-01-04T08:12:09+00:00") == "2027-01-04 08:12 UTC"
    assert moment("soon") == "soon"


def test_a_journey_of_single_decisions_counts_per_decision() -> None:
    source = ReportInput("t", {"estimand": "per_decision"}, {}, {}, [], {}, None)
    assert (source.per, source.each, source.unit) == ("per decision", "per decision", "units")
