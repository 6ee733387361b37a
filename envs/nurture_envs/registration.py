"""The environments Gymnasium knows after `import nurture_envs`."""

from __future__ import annotations

import torch

from nurture_envs.contact_env import ContactEnv, ContactVectorEnv
from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.inbound_lead import InboundLeadWorld
from nurture_envs.worlds.reference import reference_world


def inbound_lead_world(device: torch.device | str = "cpu") -> InboundLeadWorld:
    """The reference world of the shipped inbound-lead journey, with its default parameters."""
    return InboundLeadWorld(load_journey("inbound_lead"), device=device)


def reference_env(journey: str, device: str = "cpu") -> ContactEnv:
    """`gymnasium.make("nurture_envs/TrialOnboarding-v0")`: one contact of a shipped journey."""
    return ContactEnv(reference_world(journey, device), device)


def reference_vector_env(journey: str, num_envs: int = 1, device: str = "cpu") -> ContactVectorEnv:
    """`gymnasium.make_vec(..., vectorization_mode="vector_entry_point")`: n such contacts."""
    return ContactVectorEnv(reference_world(journey, device), num_envs, device)
