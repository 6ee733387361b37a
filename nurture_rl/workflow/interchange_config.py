"""The typed configuration of the files that are written for other libraries."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.workflow.run_config import RunConfig

FORMATS = ("minari", "d3rlpy")
EPISODES = ("log", "learned", "reference")
CONTACTS = ("training", "held_out", "all")


@dataclass
class InterchangeConfig(RunConfig):
    """A run's settings, and what to write from it."""

    format: str = "minari"  # one of FORMATS
    out: str = "episodes"  # folder
    episodes: str = "log"  # one of EPISODES: logged, or played by `policy` in a world
    contacts: str = "training"  # one of CONTACTS; whose logged episodes
    played: int = 1000  # contacts that are played
    env_id: str | None = None  # registered environment that Minari shall name
