"""Figures: which are drawn, that bytes repeat, and that odd input does not break them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from nurture_rl.report.figures import figures
from nurture_rl.report.mixes import mix_of, routing_shares
from nurture_rl.report.source import Json, ReportInput
from nurture_rl.report.value_figures import axis_limits
from nurture_rl.report.world_figures import frequent_heads
from tests.unit.report.sample import head, long_trial, nothing, sample, single_step

ALL = {"values", "overlap", "rounds", "calibration", "action_mix", "guardrails"}


def ids(svg: bytes) -> set[bytes]:
    return set(re.findall(rb' id="([^"]+)"', svg))


@pytest.mark.slow
def test_a_full_run_has_every_figure_and_an_empty_one_none() -> None:
    drawn = figures(sample())
    assert set(drawn) == ALL
    for svg in drawn.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert figures(nothing()) == {}


@pytest.mark.slow
def test_figures_repeat_byte_for_byte_and_share_no_identifiers() -> None:
    first = figures(sample())
    assert figures(sample()) == first
    assert sum(len(ids(svg)) for svg in first.values()) == len(
        set().union(*(ids(svg) for svg in first.values()))
    )
    assert not any(b"<dc:date>" in svg for svg in first.values())


@pytest.mark.slow
def test_single_decisions_and_long_journeys_are_drawn() -> None:
    assert set(figures(single_step())) == ALL - {"guardrails", "rounds"}
    assert set(figures(long_trial())) == ALL - {"guardrails", "rounds"}


@pytest.mark.slow
def test_numbers_that_are_missing_or_boundless_draw_without_them() -> None:
    source = sample()
    ope: dict[str, Any] = dict(source.ope)
    broken = {"estimate": {"value": float("nan")}, "interval": {"lower": None, "upper": None}}
    odd = {
        "estimates": {"dr": broken, "dm": {"estimate": {"value": 3.0}}},
        "overlap": {"feasible": True, "ess": None, "ess_by_step": [None, None]},
        "action_mix": [[1.0, 0.0]],
    }
    ope["policies"] = {"_drip": odd, "a" * 200: odd}
    changed: Json = {
        **source.evaluation,
        "appraisal": {**source.appraisal, "evaluation": ope},
        "simulator": None,
        "truth": None,
        "candidate": "_drip",
    }
    heads = [{"head": "x", "events": 3, "bins": [{"predicted": None}]}, head("rare", 1e-5, 2)]
    drawn = figures(replace(source, evaluation=changed, calibration=heads))
    assert set(drawn) == {"values", "calibration", "action_mix"}


def test_the_axis_holds_the_trusted_intervals_and_only_the_values_of_the_others() -> None:
    # Doubly robust reaches from 12.6 to 17.0, the logged mean is 10.4; weighting's own
    # interval, 8.2 to 23.6, sets nothing. Ends are 6 % of the range 6.6 away.
    assert axis_limits(judged_by_log(True)) == pytest.approx((10.4 - 0.396, 17.0 + 0.396))


@pytest.mark.slow
def test_the_axis_does_not_follow_what_the_log_does_not_carry() -> None:
    """Of `wide` the log knows nothing: its estimates and intervals lie far outside."""
    carried = judged_by_log(True)
    ope: Any = carried.evaluation["appraisal"]["evaluation"]  # type: ignore[index]
    far = {"estimate": {"value": -900.0}, "interval": {"lower": -4000.0, "upper": 800.0}}
    wide = {"estimates": dict.fromkeys(("dr", "ips", "dm"), far), "overlap": {"feasible": False}}
    both = replace(
        carried, evaluation=appraised({**ope, "policies": {**ope["policies"], "wide": wide}})
    )
    assert axis_limits(both) == axis_limits(carried)
    assert ElementTree.fromstring(figures(both)["values"]).tag.endswith("svg")


def test_where_the_log_carries_nobody_bare_values_set_the_axis() -> None:
    # 14.0 to 15.9 and the logged mean of 10.4.
    assert axis_limits(judged_by_log(False)) == pytest.approx((10.4 - 0.33, 15.9 + 0.33))


def judged_by_log(carried: bool) -> ReportInput:
    """A run in which the log alone says something, of one policy."""
    source = sample()
    ope: Any = source.evaluation["appraisal"]["evaluation"]  # type: ignore[index]
    policy = {**ope["policies"]["linear_thompson"], "overlap": {"feasible": carried}}
    return replace(source, evaluation=appraised(ope | {"policies": {"linear_thompson": policy}}))


def appraised(ope: Any) -> dict[str, Any]:
    """An evaluation in which the log alone was asked."""
    return {"appraisal": {"evaluation": ope}}


def test_the_most_frequent_heads_are_drawn() -> None:
    heads = [head(f"h{events}", 0.1, events) for events in (5, 900, 70, 3, 40, 60, 1000, 2)]
    names = [drawn["head"] for drawn in frequent_heads([*heads, {"head": "bare"}])]
    assert names == ["h1000", "h900", "h70", "h60", "h40", "h5"]


def test_shares_of_routings_add_up_to_the_shares_of_actions() -> None:
    source = sample()
    mix = mix_of(source, "linear_thompson")
    assert mix is not None
    shares: Mapping[str, Any] = routing_shares(source, mix)
    assert list(shares) == ["send", "escalate", "pause", "exit"]
    assert np.allclose(shares["send"], mix[:, :10].sum(axis=1))
    assert np.allclose(sum(shares.values()), 1.0)


def test_a_mix_that_does_not_fit_the_catalogue_is_not_drawn() -> None:
    source = sample()
    changed = replace(source, evaluation={**source.evaluation, "actions": ["only one"]})
    assert mix_of(changed, None) is None
