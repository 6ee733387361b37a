"""The world that rounds are played in: a reference world, or one fitted to the user's own log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_envs.worlds.zones import DEFAULT_ZONE
from nurture_rl.simulator.world_files import load_learned_world

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import DataConfig

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class PlayedWorld:
    """Where contacts of a round come from."""

    fitted: Path | None = None  # stage of a world fitted to a log; None: the reference world

    def simulation(self, journey: Journey) -> Simulation:
        """The world, ready to be played."""
        if self.fitted is None:
            return Simulation(reference_world(journey))
        return Simulation(load_learned_world(self.fitted / "world", journey))

    @property
    def inputs(self) -> dict[str, Any]:
        """What a stage that plays in it is named by beside its own."""
        return {} if self.fitted is None else {"world": self.fitted.name}

    @property
    def limits(self) -> tuple[str, ...]:
        """What a log played in it does not say."""
        if self.fitted is None:
            return ("the contacts are synthetic",)
        return ("the contacts are played in a world fitted to a log: a plan and no proof",)


def played_data(data: DataConfig) -> DataConfig:
    """How the log of a played round is ingested: whole, and by nothing that was said of another."""
    told = replace(data, source=REFERENCE, path=None, complete_until=None, decisions="logged")
    return replace(told, default_zone=DEFAULT_ZONE)  # by which played senders mail
