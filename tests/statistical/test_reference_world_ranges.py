"""Under the drip the inbound-lead world shows rates that public figures call usual."""

from __future__ import annotations

import pytest
import torch

from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import play
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.inbound_lead import InboundLeadWorld
from nurture_rl.policies.build import PolicyContext, build_policy

JOURNEY = load_journey("inbound_lead")


def drip_rates(n: int) -> dict[str, float]:
    """Rates per send, per delivered mail and per lead under the drip."""
    simulation = Simulation(InboundLeadWorld(JOURNEY))
    context = PolicyContext(JOURNEY, simulation.catalog, simulation.spec)
    totals = torch.zeros(len(JOURNEY.channels), dtype=torch.float64)
    either = 0
    for step in play(simulation, build_policy("drip", context), population_keys(20, n)):
        totals += step.amounts.double().sum(dim=0)
        opens = [JOURNEY.channel_index(c) for c in ("opened", "opened_by_machine")]
        either += int((step.amounts[:, opens].sum(dim=1) > 0).sum())
    count = dict(zip(JOURNEY.channels, totals.tolist(), strict=True))

    def total(start: str) -> float:
        return float(sum(value for name, value in count.items() if name.startswith(start)))

    sent, delivered = total("sent_"), count["delivered"]
    return {
        "delivered share": delivered / sent,
        "hard bounce per send": count["bounced"] / sent,
        "complaint per delivered": count["complained"] / delivered,
        "unsubscribe per delivered": count["unsubscribed"] / delivered,
        "human open": count["opened"] / delivered,
        "reported open": either / delivered,
        "human click per delivered": total("clicked_") / delivered,
        "reply": total("replied_") / delivered,
        "positive reply": count["replied_positive"] / delivered,
        "positive share of replies": count["replied_positive"] / total("replied_"),
        "lead to MQL": count["became_mql"] / n,
        "MQL to SQL": count["became_sql"] / count["became_mql"],
    }


@pytest.fixture(scope="module")
def under_the_drip() -> dict[str, float]:
    return drip_rates(40_000)


# Low and high of public figures for opted-in B2B mail; claims of vendors, so ranges and no targets.
RANGES = {
    "delivered share": (0.95, 0.995),
    "hard bounce per send": (0.001, 0.02),
    "complaint per delivered": (0.0001, 0.001),
    "unsubscribe per delivered": (0.001, 0.005),
    "human open": (0.15, 0.35),
    "reported open": (0.30, 0.60),
    "human click per delivered": (0.005, 0.03),
    "reply": (0.001, 0.02),
    "positive reply": (0.002, 0.02),
    "positive share of replies": (0.10, 0.60),
    "lead to MQL": (0.10, 0.50),
    "MQL to SQL": (0.13, 0.60),
}


@pytest.mark.parametrize("rate", RANGES)
def test_a_rate_under_the_drip_lies_in_its_public_range(
    rate: str, under_the_drip: dict[str, float]
) -> None:
    low, high = RANGES[rate]
    assert low <= under_the_drip[rate] <= high
