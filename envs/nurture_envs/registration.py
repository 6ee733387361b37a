"""The environments Gymnasium knows after `import nurture_envs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nurture_envs.contact_env import BLOCK, ContactEnv, ContactVectorEnv
from nurture_envs.population import Population
from nurture_envs.worlds.reference import reference_world


def reference_env(journey: str, device: str = "cpu") -> ContactEnv:
    """`gymnasium.make("nurture_envs/TrialOnboarding-v0")`: one contact of a shipped journey."""
    return ContactEnv(reference_world(journey, device), device)


def reference_vector_env(
    journey: str,
    num_envs: int = 1,
    device: str = "cpu",
    population: Mapping[str, Any] | None = None,
    block: int = BLOCK,
    threads: int = 1,
) -> ContactVectorEnv:
    """`gymnasium.make_vec(..., vectorization_mode="vector_entry_point")`: n such contacts.

    Args:
        journey: a shipped journey's name.
        num_envs: contacts.
        device: where they live.
        population: fields of `Population`, for contacts that share limits, accounts and a
            sender's reputation; None: everybody is alone.
        block: contacts played together.
        threads: blocks played at a time.
    """
    return ContactVectorEnv(
        reference_world(journey, device),
        num_envs,
        device,
        population=None if population is None else Population(**population),
        block=block,
        threads=threads,
    )
