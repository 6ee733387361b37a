"""Which reference world plays which shipped journey, and with which planted truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from nurture_envs.errors import WorldError
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.inbound_lead import NULL_LEAD_PARAMS, InboundLeadWorld
from nurture_envs.worlds.re_engagement import ReEngagementWorld
from nurture_envs.worlds.stalled_opportunity import StalledOpportunityWorld
from nurture_envs.worlds.trial_onboarding import TrialOnboardingParams, TrialOnboardingWorld
from nurture_envs.worlds.world import World

Device = torch.device | str

# Customers before a renewal: adopted in part, slower to change, and most of them stay.
RENEWAL_PARAMS = replace(
    TrialOnboardingParams(),
    lengths=(42.0, 56.0),
    adopted=1.0,
    fading=0.02,
    milestone_base=-3.2,
    buy_base=-6.6,
    buy_urgency=6.5,
    urgency_days=5.0,
    buy_asked=1.6,
    buy_lapsed=0.0,
    cancel_base=-7.2,
    cancel_habit=1.0,
)


# The shipped journeys that have a reference world.
REFERENCE_WORLDS: dict[str, Callable[..., World]] = {
    "inbound_lead": InboundLeadWorld,
    "stalled_opportunity": StalledOpportunityWorld,
    "trial_onboarding": TrialOnboardingWorld,
    "re_engagement": ReEngagementWorld,
    "renewal": partial(TrialOnboardingWorld, params=RENEWAL_PARAMS),
    "null_lead": partial(InboundLeadWorld, params=NULL_LEAD_PARAMS),
}


def reference_world(journey: Journey | str, device: Device = "cpu") -> World:
    """The reference world of a journey, with its planted parameters.

    A journey of another name is played by the world of the first shipped journey all of whose
    signals it has, so that variants by `extends` keep their parent's world.

    Raises:
        JourneyError: no shipped journey has that name.
        WorldError: no reference world plays such a journey.
    """
    parsed = load_journey(journey) if isinstance(journey, str) else journey
    if parsed.name in REFERENCE_WORLDS:
        return REFERENCE_WORLDS[parsed.name](parsed, device=device)
    for name, make in REFERENCE_WORLDS.items():
        if set(load_journey(name).channels) <= set(parsed.channels):
            return make(parsed, device=device)
    raise WorldError(
        f"expected one of the journeys {', '.join(REFERENCE_WORLDS)} or an heir of one, got "
        f"{parsed.name!r}; add `extends:`, or fit a learned world to its log"
    )
