"""Trials and dormant contacts show rates that public figures call usual, under their drip."""

from __future__ import annotations

import pytest
import torch

from nurture_envs.rollout import play
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.reference import reference_world
from nurture_rl.policies.build import PolicyContext, build_policy

N = 30_000
Rates = dict[str, float]


def rates_under(policy: str, journey: str) -> Rates:
    """Rates per send, per delivered mail and per contact."""
    simulation = Simulation(reference_world(journey))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    channels = simulation.journey.channels
    totals = torch.zeros(len(channels), dtype=torch.float64)
    either = 0
    for step in play(simulation, build_policy(policy, context), population_keys(20, N)):
        totals += step.amounts.double().sum(dim=0)
        opens = [channels.index(c) for c in ("opened", "opened_by_machine")]
        either += int((step.amounts[:, opens].sum(dim=1) > 0).sum())
    count = dict(zip(channels, totals.tolist(), strict=True))

    def total(start: str) -> float:
        return float(sum(value for name, value in count.items() if name.startswith(start)))

    sent, delivered, clicks = total("sent_"), count["delivered"], total("clicked_")
    bought = count["converted" if "converted" in count else "won_back"]
    return {
        "delivered share": delivered / sent,
        "hard bounce per send": count["bounced"] / sent,
        "complaint per delivered": count["complained"] / delivered,
        "unsubscribe per delivered": count["unsubscribed"] / delivered,
        "human open": count["opened"] / delivered,
        "reported open": either / delivered,
        "human click per delivered": clicks / delivered,
        "bot share of raw clicks": count["gateway_clicked"] / (count["gateway_clicked"] + clicks),
        "reply to opted-in mail": total("replied_") / delivered,
        "positive share of replies": count["replied_positive"] / total("replied_"),
        "bought per contact": bought / N,
    }


# Low and high of public figures for opted-in B2B mail; claims of vendors, so ranges and no targets.
SHARED = {
    "delivered share": (0.95, 0.995),
    "hard bounce per send": (0.001, 0.02),
    "complaint per delivered": (0.0001, 0.001),
    "unsubscribe per delivered": (0.001, 0.005),
    "human open": (0.15, 0.35),
    "reported open": (0.30, 0.60),
    "bot share of raw clicks": (0.10, 0.75),
    "reply to opted-in mail": (0.001, 0.02),
    "positive share of replies": (0.10, 0.60),
}
TRIAL = SHARED | {"human click per delivered": (0.005, 0.03), "bought per contact": (0.05, 0.25)}
WIN_BACK = SHARED | {"human click per delivered": (0.005, 0.02)}
RANGES = {"trial_onboarding": TRIAL, "re_engagement": WIN_BACK}


@pytest.fixture(scope="module")
def under_the_drip() -> dict[str, Rates]:
    return {journey: rates_under("drip", journey) for journey in RANGES}


@pytest.mark.parametrize(
    "journey, rate", [(journey, rate) for journey, ranges in RANGES.items() for rate in ranges]
)
def test_a_rate_under_the_drip_lies_in_its_public_range(
    journey: str, rate: str, under_the_drip: dict[str, Rates]
) -> None:
    low, high = RANGES[journey][rate]
    assert low <= under_the_drip[journey][rate] <= high


def test_teaching_the_next_milestone_sells_more_trials_than_the_drip_and_the_drip_than_nothing(
    under_the_drip: dict[str, Rates],
) -> None:
    taught = rates_under("rules", "trial_onboarding")["bought per contact"]
    assert taught > under_the_drip["trial_onboarding"]["bought per contact"] + 0.01
