"""The domain's language and the simulated contact environments of nurture_rl.

Importing this package tells Gymnasium of the environments. A serving host has no Gymnasium; there
the language alone loads.
"""

from importlib.util import find_spec

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
