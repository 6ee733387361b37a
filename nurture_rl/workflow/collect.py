"""From a data source to raw tables."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.workflow.adapted_log import adapt
from nurture_rl.workflow.raw_folder import folder_hash, note_source
from nurture_rl.workflow.reference_log import play_log

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import DataConfig
    from nurture_rl.workflow.stages import Workshop


def reference_simulation(journey: Journey) -> Simulation:
    """The world whose truth is known.

    Raises:
        WorldError: no reference world plays such a journey.
    """
    return Simulation(reference_world(journey))


def raw_log(workshop: Workshop, data: DataConfig, journey: Journey, seed: int) -> Path:
    """Raw tables of the source, and `notes.json` on what they can show.

    Raises:
        ConfigError: the source needs a folder and none is given.
        LogError: the folder or a file of it is missing.
    """
    if data.source == "reference":
        inputs = {
            "contacts": data.contacts,
            "logging": data.logging,
            "journey": journey.resolved,
            "seed": seed,
        }
        return workshop.stage("raw", inputs, partial(play_log, workshop.say, data, journey, seed))
    if data.path is None:
        raise ConfigError(
            f"data.path: the source {data.source!r} needs a folder; give data.path=..."
        )
    folder = Path(data.path)
    if not folder.is_dir():
        raise LogError(f"expected the folder of {data.source!r} at {folder}, it is not there")
    content = folder_hash(folder)
    inputs = {"source": data.source, "content": content, "journey": journey.resolved}
    if data.source == "folder":  # nothing is drawn, and the tables are read where they lie
        return workshop.stage("raw", inputs, partial(note_source, content, {}))
    build = partial(adapt, data.source, folder, content, seed)
    return workshop.stage("raw", inputs | {"seed": seed}, build)
