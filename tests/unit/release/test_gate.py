"""The gate lets through what both judges put above the reference, and says why not otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.release.gate import CandidateDifference, GateConfig, gate
from tests.unit.release.bundles import evidence


def test_both_lower_bounds_above_zero_pass() -> None:
    decision = gate(evidence(), GateConfig())
    assert decision.passed
    assert decision.reasons == ()


def test_a_logged_bound_at_zero_is_refused_with_its_numbers() -> None:
    found = replace(evidence(), logged=CandidateDifference(2.0, 0.0, 4.0, 0.975))
    (reason,) = gate(found, GateConfig()).reasons
    assert reason == (
        "core less drip on held-out logs is +2 EUR per episode with a 97.5 % interval of "
        "[+0, +4]; the lower bound must lie above +0 EUR."
    )


def test_a_simulator_bound_below_the_margin_is_refused() -> None:
    config = GateConfig(margin=1.4)
    assert gate(evidence(), config).passed
    found = replace(evidence(), simulated=CandidateDifference(5.0, 1.3, 8.0, 0.975))
    (reason,) = gate(found, config).reasons
    assert "in the simulator is +5 EUR" in reason
    assert "above +1.4 EUR" in reason


def test_bounds_of_too_little_confidence_are_refused() -> None:
    logged, simulated = gate(evidence(), GateConfig(level=0.99)).reasons
    assert "on held-out logs holds with 97.5 % confidence, 99 % are required" in logged
    assert "in the simulator" in simulated


def test_a_bound_that_is_not_a_number_never_passes() -> None:
    found = replace(evidence(), simulated=CandidateDifference(5.0, float("nan"), 8.0, 0.975))
    assert not gate(found, GateConfig()).passed


@pytest.mark.parametrize("margin", [0.0, 1.4])
@pytest.mark.parametrize("over, passes", [(4e-16, False), (1e-6, True)])
def test_a_bound_above_the_margin_by_rounding_alone_does_not_pass(
    over: float, passes: bool, margin: float
) -> None:
    # Two that act alike earn 40 EUR each; sums of such numbers are right to 1e-15.
    near = CandidateDifference(margin + over, margin + over, margin + over, 0.975)
    for found in (
        replace(evidence(), logged=near, earned=80.0),
        replace(evidence(), simulated=near, earned=80.0),
    ):
        assert gate(found, GateConfig(margin=margin)).passed is passes


def test_missing_overlap_and_an_undecided_evaluation_are_two_reasons() -> None:
    found = replace(
        evidence(),
        overlap_feasible=False,
        overlap_text="12 % of its sends were never logged.",
        verdict="cannot_tell_yet",
        verdict_text="the interval spans zero.",
    )
    overlap, verdict = gate(found, GateConfig()).reasons
    assert "12 % of its sends were never logged" in overlap
    assert "812.5 among 3000" in overlap
    assert verdict == "The off-policy evaluation cannot tell yet: the interval spans zero."
