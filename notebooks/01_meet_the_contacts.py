# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # 1. Meet the contacts
#
# A journey, the actions it allows, and a world that answers. Open this file in Jupyter through
# jupytext, or run it as it is. Everything here is synthetic.

# %%
import numpy as np

from nurture_envs import Simulation, load_journey, reason_names, reference_world, returns
from nurture_rl import PolicyContext, build_policy

journey = load_journey("inbound_lead")
simulation = Simulation(reference_world(journey))
print(journey.title)
print(f"{len(simulation.catalog)} actions:", ", ".join(simulation.catalog.ids))
print(f"{len(simulation.spec.columns)} features:", ", ".join(simulation.spec.columns[:8]), "...")

# %% [markdown]
# ## Four programs, the same 2,000 leads, the same luck
#
# Draws depend on the contact and the bin alone, so two policies meet the same people on the same
# days. Their difference is then far less noisy than either value.

# %%
context = PolicyContext(journey, simulation.catalog, simulation.spec)
played = {
    name: returns(simulation, build_policy(name, context), n=2000, seed=1)
    for name in ("no_contact", "random", "drip", "rules")
}
drip = played["drip"].value
for name, found in played.items():
    gap = found.value - drip
    error = 1.96 * gap.std() / np.sqrt(len(gap))
    earned = f"{found.value.mean():6.2f} EUR a lead"
    print(f"{name:>10}: {earned}, against drip {gap.mean():+.2f} ± {error:.2f}")

# %% [markdown]
# ## What the guardrails forbade
#
# The same code masks actions here, in training, in evaluation and in the policy server.

# %%
counts: dict[str, int] = {}
for bits, count in played["random"].reasons.items():
    for reason in reason_names(bits):
        counts[reason] = counts.get(reason, 0) + count
for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
    print(f"{reason:>20}: {count:,} actions")

# %% [markdown]
# Next: `make demo` runs the whole loop on a log of such contacts and writes a report.
