"""The domain's language and the simulated contact environments of nurture_rl.

Importing this package tells Gymnasium of the environments. A serving host has no Gymnasium; there
the language alone loads.
"""

from importlib.util import find_spec

if find_spec("gymnasium") is not None:
    import gymnasium

    gymnasium.register(
        id="nurture_envs/InboundLead-v0",
        entry_point="nurture_envs.registration:inbound_lead_env",
        vector_entry_point="nurture_envs.registration:inbound_lead_vector_env",
    )
