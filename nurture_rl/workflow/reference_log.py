"""The log of a reference world, played by the configured logging policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nurture_envs.journey import Journey
from nurture_envs.playing import loops_are_kept
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.raw_folder import write_json

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import DataConfig
    from nurture_rl.workflow.stages import Say

_WORTH_COMPILING = 50_000  # contacts; torch plays as many in the time that compiling takes
_REFERENCE_NOTES = {
    "supports": [
        "every action was logged with its propensity and has positive probability wherever it is "
        "legal, so any policy inside the guardrails has support",
        "the world that made the log can be asked for the true value of every policy",
    ],
    "limits": [
        "the contacts are synthetic: nothing here is evidence about real people",
    ],
}


def play_log(say: Say, data: DataConfig, journey: Journey, seed: int, out: Path) -> None:
    """Write the raw tables of `data.contacts` contacts, and `notes.json`.

    Raises:
        WorldError: no reference world plays such a journey.
    """
    # Torch plays few contacts sooner than the loops are compiled, with the same results.
    compiled = False if data.contacts < _WORTH_COMPILING and not loops_are_kept() else None
    simulation = Simulation(reference_world(journey), compiled=compiled)
    context = PolicyContext(journey, simulation.catalog, simulation.spec)
    policy = build_policy(data.logging, context)
    write_reference_log(
        out / "tables",
        simulation,
        policy,
        data.contacts,
        seed,
        lambda done: say(f"  {done} of {data.contacts} contacts played"),
    )
    write_json(out / "notes.json", _REFERENCE_NOTES)
