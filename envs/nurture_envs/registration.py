"""The environments Gymnasium knows after `import nurture_envs`."""

from __future__ import annotations

import torch

from nurture_envs.contact_env import ContactEnv, ContactVectorEnv
from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.inbound_lead import InboundLeadWorld


def inbound_lead_world(device: torch.device | str = "cpu") -> InboundLeadWorld:
    """The reference world of the shipped inbound-lead journey, with its default parameters."""
    return InboundLeadWorld(load_journey("inbound_lead"), device=device)


def inbound_lead_env(device: str = "cpu") -> ContactEnv:
    """`gymnasium.make("nurture_envs/InboundLead-v0")`: one inbound lead."""
    return ContactEnv(inbound_lead_world(device), device)


def inbound_lead_vector_env(num_envs: int = 1, device: str = "cpu") -> ContactVectorEnv:
    """`gymnasium.make_vec(..., vectorization_mode="vector_entry_point")`: n inbound leads."""
    return ContactVectorEnv(inbound_lead_world(device), num_envs, device)
