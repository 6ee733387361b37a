"""The domain's language and the simulated contact environments of nurture_rl.

Importing this package tells Gymnasium of the environments. A serving host has no Gymnasium; there
the language alone loads. What a user imports is listed in `__all__`, with its meaning in
docs/api.md, and loaded when it is asked for.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nurture_envs.actions import ActionCatalog
    from nurture_envs.contact_env import ContactEnv, ContactVectorEnv
    from nurture_envs.errors import NurtureError
    from nurture_envs.features import FeatureSpec, described_columns
    from nurture_envs.guardrails import reason_names
    from nurture_envs.journey import Journey
    from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
    from nurture_envs.journey_memory import with_memory
    from nurture_envs.population import Population
    from nurture_envs.rollout import Returns, returns
    from nurture_envs.simulation import Simulation
    from nurture_envs.worlds.reference import reference_world
    from nurture_envs.worlds.world import World

__all__ = [
    "ActionCatalog",
    "ContactEnv",
    "ContactVectorEnv",
    "FeatureSpec",
    "Journey",
    "NurtureError",
    "Population",
    "Returns",
    "Simulation",
    "World",
    "described_columns",
    "load_journey",
    "parse_journey",
    "reason_names",
    "reference_world",
    "returns",
    "shipped_journeys",
    "with_memory",
]

_HOMES = {
    "ActionCatalog": "nurture_envs.actions",
    "ContactEnv": "nurture_envs.contact_env",
    "ContactVectorEnv": "nurture_envs.contact_env",
    "FeatureSpec": "nurture_envs.features",
    "Journey": "nurture_envs.journey",
    "NurtureError": "nurture_envs.errors",
    "Population": "nurture_envs.population",
    "Returns": "nurture_envs.rollout",
    "Simulation": "nurture_envs.simulation",
    "World": "nurture_envs.worlds.world",
    "described_columns": "nurture_envs.features",
    "load_journey": "nurture_envs.journey_file",
    "parse_journey": "nurture_envs.journey_file",
    "reason_names": "nurture_envs.guardrails",
    "reference_world": "nurture_envs.worlds.reference",
    "returns": "nurture_envs.rollout",
    "shipped_journeys": "nurture_envs.journey_file",
    "with_memory": "nurture_envs.journey_memory",
}

if find_spec("gymnasium") is not None:
    import gymnasium

    for _journey in (
        "inbound_lead",
        "stalled_opportunity",
        "trial_onboarding",
        "re_engagement",
        "renewal",
        "null_lead",
    ):
        gymnasium.register(
            id=f"nurture_envs/{_journey.title().replace('_', '')}-v0",
            entry_point="nurture_envs.registration:reference_env",
            vector_entry_point="nurture_envs.registration:reference_vector_env",
            kwargs={"journey": _journey},
        )


def __getattr__(name: str) -> Any:
    """What a user imports from here is loaded when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The names that a user imports."""
    return __all__
